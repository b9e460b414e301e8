//! The errors that this crate itself detects, and their one conversion to Python exceptions.

use pyo3::PyErr;
use pyo3::exceptions::{PyKeyError, PyRuntimeError, PyTypeError, PyValueError};

/// What can be wrong with what Python hands to the engine.
#[derive(Debug)]
pub(crate) enum Error {
    /// An ASGI scope holds under `key` something of another type than the ASGI specification says.
    Scope { key: &'static str, expected: &'static str },
    /// An ASGI scope or message lacks this key.
    Key(&'static str),
    /// A plan was built with an unknown word for `what`.
    Recipe { what: &'static str, word: String },
    /// A dependency with `yield` gave an object of this class, which is no iterator, or no async one.
    Iterator { class: String, kind: &'static str },
    /// A response whose status is no HTTP status.
    Status { status: String },
    /// A response header, named `name`, with a control byte in its name or value.
    Header { name: String },
    /// The driver was resumed in a state in which nothing awaits.
    Resumed,
}

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        match error {
            Error::Scope { key, expected } => PyTypeError::new_err(format!("ASGI scope: {key:?} must be {expected}")),
            Error::Key(key) => PyKeyError::new_err(key),
            Error::Recipe { what, word } => PyValueError::new_err(format!("unknown {what}: {word:?}")),
            Error::Iterator { class, kind } => PyTypeError::new_err(format!("'{class}' object is not {kind}")),
            Error::Status { status } => PyRuntimeError::new_err(format!("the response has no HTTP status: {status}")),
            Error::Header { name } => {
                PyRuntimeError::new_err(format!("the response has a control byte in its header {name:?}"))
            }
            Error::Resumed => PyRuntimeError::new_err("cannot reuse an already awaited request"),
        }
    }
}
