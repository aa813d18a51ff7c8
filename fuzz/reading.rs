#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| midplane_gateway::fuzzing::reading(bytes));
