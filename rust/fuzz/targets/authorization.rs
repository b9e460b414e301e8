//! libFuzzer's entry to `fuzz::authorization`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::authorization(bytes));
