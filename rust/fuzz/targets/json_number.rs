//! libFuzzer's entry to `fuzz::json_number`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::json_number(bytes));
