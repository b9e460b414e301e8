//! libFuzzer's entry to `fuzz::connection::chunked`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::connection::chunked(bytes));
