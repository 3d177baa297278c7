#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fingerpost::serve::fuzzing::hop(data));
