//! The bytes written so far and the errors that must wait.
//! FastAPI encodes in two passes; a value only the second refuses must not hide an error of the first further on.
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyFloat, PyString};

use super::keys::Keys;
use super::types::Types;
use crate::ffi::entries::Peeked;

/// How the names begin under which `SQLAlchemy` keeps its own state.
pub(super) const HIDDEN: &str = "_sa";

/// The JSON text under construction.
pub(super) struct Sink {
    pub(super) out: Vec<u8>,
    /// The first value that `json.dumps` would refuse.
    pub(super) rejected: Option<PyErr>,
    /// Whether `out` holds a lone surrogate in its three-byte form, which no UTF-8 text may.
    pub(super) surrogates: bool,
    /// How long the text may become, if it is given up when it is longer, or when something in it is refused.
    pub(super) limit: Option<usize>,
    /// Keys that come again and again, once there are objects beside each other.
    pub(super) keys: Option<Box<Keys>>,
}

impl Sink {
    /// Continues the text in `out`.
    pub(super) fn new(out: Vec<u8>) -> Self {
        Sink { out, rejected: None, surrogates: false, limit: None, keys: None }
    }

    /// Writes a comma, a key, a colon; `false`, and nothing written, if more has to be asked about the key.
    #[expect(clippy::inline_always, reason = "for every entry of every object")]
    #[inline(always)]
    pub(super) fn known_key(&mut self, key: Peeked<'_>) -> bool {
        if let Some(keys) = &self.keys {
            return keys.write(key, &mut self.out);
        }
        let Some(text) = key.text().filter(|text| !text.starts_with(HIDDEN)) else { return false };
        self.out.push(b',');
        self.string(text);
        self.out.push(b':');
        true
    }

    /// Writes what `json.dumps` makes of a value that needs no more encoding, or notes why it makes nothing.
    #[cold]
    #[inline(never)]
    pub(super) fn dumped(&mut self, value: &Bound<'_, PyAny>) {
        // Numbers that are not finite are refused one like the other, and there may be very many.
        let is_like_before = self.rejected.is_some() && value.is_instance_of::<PyFloat>();
        if is_like_before || self.is_given_up() {
            self.out.extend_from_slice(b"null");
            return;
        }
        match dump(value) {
            Ok(bytes) => {
                self.surrogates = self.surrogates || std::str::from_utf8(bytes.as_bytes()).is_err();
                self.out.extend_from_slice(bytes.as_bytes());
            }
            Err(error) => self.reject(error),
        }
    }

    /// Whether nothing more has to be written: there is a limit, and the text is longer, or no JSON text in UTF-8.
    pub(super) fn is_given_up(&self) -> bool {
        self.limit.is_some_and(|limit| self.out.len() > limit || self.rejected.is_some() || self.surrogates)
    }

    /// Notes an error of the second pass; the text stays well formed.
    #[cold]
    pub(super) fn reject(&mut self, error: PyErr) {
        self.rejected.get_or_insert(error);
        self.out.extend_from_slice(b"null");
    }

    /// Raises what was noted on the way.
    ///
    /// # Errors
    /// The first noted error; `UnicodeEncodeError` for lone surrogates, positioned in the text.
    pub(super) fn finish(&mut self, py: Python<'_>) -> PyResult<()> {
        if let Some(error) = self.rejected.take() {
            return Err(error);
        }
        if self.surrogates {
            let text = PyBytes::new(py, &self.out).call_method1("decode", ("utf-8", "surrogatepass"))?;
            // Raises; were the surrogates in a value that was overwritten since, it does not, and all is well.
            text.call_method1("encode", ("utf-8",))?;
        }
        Ok(())
    }
}

/// The text that `json.dumps` makes, with lone surrogates let through.
fn dump<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let py = value.py();
    // In one shot, as `json.dumps` does, which lets the C encoder run.
    let parts = Types::get(py)?.dump.bind(py).call1((value, true))?;
    let text = PyString::new(py, "").call_method1(intern!(py, "join"), (parts,))?;
    let bytes = text.call_method1(intern!(py, "encode"), ("utf-8", "surrogatepass"))?;
    Ok(bytes.cast_into::<PyBytes>()?)
}
