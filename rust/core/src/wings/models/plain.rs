//! What may be written without pydantic: values of exactly the types that are expected.

use pyo3::prelude::*;
use pyo3::{CastError, PyTypeCheck};

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

/// The value as one of exactly this type.
#[inline]
pub(super) fn exact<'any, 'py, T: PyTypeCheck + pyo3::PyTypeInfo>(
    value: &'any Bound<'py, PyAny>,
) -> Result<&'any Bound<'py, T>, NotPlain> {
    value.cast_exact::<T>().map_err(|_| NotPlain)
}
