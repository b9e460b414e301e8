//! JSON text, byte for byte as the Python path prints it; the last step before the bytes leave.
//! Scalars only: containers, and which Python value is which scalar, are the caller's business.
mod number;
mod string;

pub use number::{write_f64, write_f64_shortest, write_i64, write_u64};
pub use string::{write_short_str, write_str, write_wtf8};
