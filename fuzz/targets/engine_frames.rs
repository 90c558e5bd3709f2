#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lakestage_engine::fuzzing::frames(bytes));
