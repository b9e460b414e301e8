//! What may be written without pydantic: values of exactly the types that are expected.

use pyo3::CastError;
use pyo3::prelude::*;

/// Something is not as expected; pydantic says what.
pub(super) struct NotPlain;

pub(super) type Done = Result<(), NotPlain>;

impl From<PyErr> for NotPlain {
    fn from(_: PyErr) -> Self {
        NotPlain
    }
}

impl From<CastError<'_, '_>> for NotPlain {
    fn from(_: CastError<'_, '_>) -> Self {
        NotPlain
    }
}
