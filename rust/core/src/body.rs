//! What the bytes of a body are: JSON by content type, or raw.
//!
//! Source: FastAPI behaviour, `routing.get_request_handler` (reading the body) and `Request.json`.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::names;
use crate::scope::Scope;

/// Whether a body under this `Content-Type` is parsed as JSON.
pub(crate) fn is_json(scope: Scope<'_, '_>, strict: bool) -> PyResult<bool> {
    let Some(content_type) = scope.header(b"content-type")?.filter(|value| !value.as_bytes().is_empty()) else {
        return Ok(!strict);
    };
    if content_type.as_bytes() == b"application/json" {
        return Ok(true);
    }
    names::is_json_content_type(scope.0.py())?.call1((content_type,))?.is_truthy()
}

/// Parse JSON as `json.loads` does: pydantic-core's parser, and the standard library's for whatever it refuses.
///
/// The two differ in what they refuse (other encodings, lone surrogates, depth), never in what both accept, so the
/// standard library has the last word and its error is the one that is reported.
///
/// # Errors
/// `json.JSONDecodeError`, `UnicodeDecodeError`, `RecursionError`, `ValueError`: as `json.loads`.
pub(crate) fn parse_json<'py>(bytes: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyAny>> {
    let py = bytes.py();
    match names::from_json(py)?.call1((bytes,)) {
        Ok(value) => Ok(value),
        Err(_) => names::json_loads(py)?.call1((bytes,)),
    }
}
