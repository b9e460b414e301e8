//! libFuzzer's entry to `fuzz::connection::head`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::connection::head(bytes));
