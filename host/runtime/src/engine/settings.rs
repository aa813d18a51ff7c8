//! How the engines are set up. Every engine of the program is made from here, so that compiled code is always of two kinds.

use wasmtime::{Config, Strategy};

/// Code that is ready five to ten times sooner and runs slower: each function in one pass, by Winch. It refuses components
/// with some newer instructions (tail calls among them).
pub fn baseline() -> Config {
    let mut config = common();
    config.strategy(Strategy::Winch);
    config
}

/// Code as good as it gets, by Cranelift.
pub fn optimised() -> Config {
    let mut config = common();
    config.strategy(Strategy::Cranelift);
    config
}

fn common() -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true).wasm_component_model_async(true).epoch_interruption(true);
    // Interpreters recurse, and frames of the baseline tier are larger than optimised ones: twice wasmtime's default, and the
    // same for both tiers, so that no call fits into one and not into the other.
    config.max_wasm_stack(1024 * 1024);
    // The stack that a guest and the host functions it calls share. The other half is the host's: an unoptimised host needs
    // some hundred KiB for a call of a capability. Only pages that were used cost memory.
    config.async_stack_size(2 * 1024 * 1024);
    // 4 GiB of address space for each memory of a guest, and a guard behind it, make every access of a 32-bit memory one
    // instruction without a check, in both tiers. Nothing of it costs memory until the guest writes there, and 47 bits have
    // room for 30,000 of them: 100 plugins with 4 memories each in 4 instances need a twentieth.
    config.memory_reservation(4 << 30).memory_guard_size(32 << 20);
    // Initial data is mapped from the code, copy on write: an interpreter's 10 MB cost nothing until they are written, and
    // all instances of a component share the rest.
    config.memory_init_cow(true);
    config
}
