//! What a test client asks about the thread that it may use again.

use pyo3::prelude::*;

use crate::ffi;

/// How many values `threading.local` and extensions keep for the current thread; `None` where it has none, or where the
/// interpreter keeps them elsewhere, as since 3.13.
#[pyfunction]
pub(crate) fn count_thread_values(py: Python<'_>) -> Option<usize> {
    ffi::count_thread_values(py)
}
