//! What stands for a parameter of a request: for one that is absent, and for the text of one that is there.

use pyo3::prelude::*;

/// What stands for a parameter that the request does not carry.
#[derive(Debug)]
pub(crate) enum Absent {
    /// An error: the parameter is required.
    Missing,
    /// This immutable object, as it is.
    Constant(Py<PyAny>),
    /// The result of this call, made anew for each request.
    Made(Py<PyAny>),
    /// The result of this call, which is then validated like a received value.
    MadeThenValidated(Py<PyAny>),
}

/// What pydantic makes of most texts, where that is known without asking it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scalar {
    /// The text itself, whatever it is.
    Text,
    /// The truth value that it stands for.
    Truth,
    /// The integer that it stands for, from `least` to `most`.
    Integer { least: i64, most: i64 },
    /// The number that it stands for, likewise.
    Number { least: f64, most: f64 },
}
