//! The extension module `ferroapi._core`: the list of what it exports, nothing else.
use pyo3::pymodule;

/// The engine of ferroapi.
#[pymodule(gil_used = false)]
mod _core {}
