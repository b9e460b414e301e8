//! libFuzzer's entry to `fuzz::scalar`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::scalar(bytes));
