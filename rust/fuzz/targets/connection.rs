//! libFuzzer's entry to `fuzz::connection::connection`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::connection::connection(bytes));
