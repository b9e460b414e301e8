//! What the bytes of a body are: JSON by content type, a multipart form, or raw.
//!
//! Source: FastAPI behaviour, `routing.get_request_handler` (reading the body) and `Request.json`.

use std::borrow::Cow;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};

use wire::arriving::Arriving;
use wire::media_type::{self, FormKind};
use wire::{latin1, multipart};

use crate::error::guarded;
use crate::names;
use crate::scope::Scope;

/// Whether a `Content-Type` names `application/json` or an `application/*+json` type.
#[pyfunction]
#[pyo3(signature = (content_type, /))]
pub(crate) fn is_json_content_type(content_type: &[u8]) -> bool {
    media_type::is_json(content_type)
}

/// A shorter `Content-Type` that means the same to the parsers of forms, or the same one if it is not plain.
#[pyfunction]
#[pyo3(signature = (content_type, /))]
pub(crate) fn form_media_type<'py>(py: Python<'py>, content_type: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    guarded(|| {
        let short = match media_type::form_kind(content_type) {
            FormKind::UrlEncoded => Cow::Borrowed(&b"application/x-www-form-urlencoded"[..]),
            FormKind::Multipart => multipart::boundary(content_type).map_or(Cow::Borrowed(content_type), |boundary| {
                Cow::Owned([b"multipart/form-data; boundary=", boundary].concat())
            }),
            FormKind::Neither => Cow::Borrowed(&b""[..]),
            FormKind::Unsure => Cow::Borrowed(content_type),
        };
        Ok(PyBytes::new(py, &short))
    })
}

/// Whether a body under this `Content-Type` is parsed as JSON.
pub(crate) fn is_json(content_type: Option<&Bound<'_, PyBytes>>, strict: bool) -> bool {
    match content_type.map(PyBytesMethods::as_bytes) {
        None | Some(b"") => !strict,
        Some(content_type) => media_type::is_json(content_type),
    }
}

/// The kind of a form, url-encoded or multipart, if the driver reads it.
///
/// A multipart form is read here only with a plain boundary, since Starlette refuses one without before it reads, and
/// a form under limits of routers is Python's.
pub(crate) fn readable_form(scope: Scope<'_, '_>) -> PyResult<Option<FormKind>> {
    // Headers that cannot be read are refused where Python reads them.
    let Ok(Some(content_type)) = scope.header(b"content-type") else { return Ok(None) };
    let kind = media_type::form_kind(content_type.as_bytes());
    let is_form = match kind {
        FormKind::UrlEncoded => true,
        FormKind::Multipart => multipart::boundary(content_type.as_bytes()).is_some(),
        FormKind::Neither | FormKind::Unsure => false,
    };
    Ok(if is_form && !scope.limits_forms()? { Some(kind) } else { None })
}

/// Whether the length that a body announces is no more than `limit` bytes, if it announces any.
pub(crate) fn is_within(scope: Scope<'_, '_>, limit: u64) -> PyResult<bool> {
    let Some(length) = scope.header(b"content-length")? else { return Ok(true) };
    // What is no plain number is Python's to judge.
    let length = std::str::from_utf8(length.as_bytes()).ok().and_then(|text| text.parse::<u64>().ok());
    Ok(length.is_some_and(|length| length <= limit))
}

/// A multipart body that arrives in pieces, if the driver reads it.
pub(crate) fn arriving(scope: Scope<'_, '_>) -> PyResult<Option<Arriving>> {
    let content_type = scope.header(b"content-type")?;
    let boundary = content_type.as_ref().and_then(|value| multipart::boundary(value.as_bytes()));
    Ok(boundary.map(|boundary| Arriving::new(boundary, MOST_ITEMS)))
}

/// The largest multipart body that is read here, in bytes: none of its fields exceeds a limit, none of its files is spooled.
pub(crate) const LARGEST_MULTIPART: usize = 1024 * 1024;

/// The largest numbers of fields and of files. Source: the defaults of Starlette's `Request.form`.
const MOST_ITEMS: usize = 1000;

/// The items of a multipart form, `(name, text or file)`; nothing if Starlette's parser has to read it.
pub(crate) fn multipart_items<'py>(
    scope: Scope<'_, 'py>,
    body: &Bound<'py, PyBytes>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = body.py();
    let Some(content_type) = scope.header(b"content-type")? else { return Ok(None) };
    let Some(boundary) = multipart::boundary(content_type.as_bytes()) else { return Ok(None) };
    let parts = match multipart::parts(body.as_bytes(), boundary) {
        Some(parts) if parts.len() <= MOST_ITEMS && body.as_bytes().len() <= LARGEST_MULTIPART => parts,
        _ => return Ok(None),
    };
    let recipes = PyList::empty(py);
    for part in parts {
        let value = match part.file_name {
            None => utf8_or_latin1(py, part.content).into_any(),
            Some(file_name) => {
                let headers = part
                    .headers
                    .iter()
                    .map(|(name, value)| (PyBytes::new(py, &name.to_ascii_lowercase()), PyBytes::new(py, value)));
                let headers: Vec<_> = headers.collect();
                let content = PyBytes::new(py, part.content);
                (utf8_or_latin1(py, file_name), content, headers).into_pyobject(py)?.into_any()
            }
        };
        recipes.append((utf8_or_latin1(py, part.name), value))?;
    }
    let items = names::multipart_items(py)?.call1((recipes,))?;
    Ok((!items.is_none()).then_some(items))
}

/// Source: Starlette, `formparsers._user_safe_decode`.
fn utf8_or_latin1<'py>(py: Python<'py>, bytes: &[u8]) -> Bound<'py, PyString> {
    let text = std::str::from_utf8(bytes).map_or_else(|_| latin1::decode(bytes), Cow::Borrowed);
    PyString::new(py, &text)
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
