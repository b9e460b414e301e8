//! libFuzzer's entry to `fuzz::json_string`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::json_string(bytes));
