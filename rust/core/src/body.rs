//! What the bytes of a body are: JSON by content type, or raw.
//!
//! Source: FastAPI behaviour, `routing.get_request_handler` (reading the body) and `Request.json`.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use wire::media_type::{self, FormKind};

use crate::names;
use crate::plan::{BodyMode, Plan};
use crate::scope::Scope;

/// Whether a body under this `Content-Type` is parsed as JSON.
pub(crate) fn is_json(scope: Scope<'_, '_>, strict: bool) -> PyResult<bool> {
    let Some(content_type) = scope.header(b"content-type")?.filter(|value| !value.as_bytes().is_empty()) else {
        return Ok(!strict);
    };
    Ok(media_type::is_json(content_type.as_bytes()))
}

/// Whether the driver reads a body of this kind: any for JSON, a url-encoded one for a form.
pub(crate) fn is_readable(plan: &Plan, scope: Scope<'_, '_>) -> PyResult<bool> {
    if plan.body != BodyMode::Form {
        return Ok(true);
    }
    let content_type = scope.header(b"content-type")?;
    Ok(content_type.is_some_and(|value| media_type::form_kind(value.as_bytes()) == FormKind::UrlEncoded))
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
