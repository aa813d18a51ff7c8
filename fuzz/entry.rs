#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| midplane_capabilities::fuzzing::entry(bytes));
