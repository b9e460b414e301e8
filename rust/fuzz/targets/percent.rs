//! libFuzzer's entry to `fuzz::percent`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::percent(bytes));
