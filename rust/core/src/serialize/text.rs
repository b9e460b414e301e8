//! Strings: quoted and escaped as `json.dumps(ensure_ascii=False)` does.
//! Lone surrogates are let through here and refused by `Sink::finish`.
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use super::sink::Sink;

impl Sink {
    /// Writes a string, also one of a subclass: its characters, whatever its `__str__` says.
    #[inline]
    pub(super) fn text(&mut self, text: &Bound<'_, PyString>) {
        match text.to_str() {
            Ok(text) => self.string(text),
            Err(_) => self.surrogate_text(text),
        }
    }

    /// Writes text with lone surrogates in it, each in its three-byte form.
    #[cold]
    #[inline(never)]
    fn surrogate_text(&mut self, text: &Bound<'_, PyString>) {
        let py = text.py();
        if self.is_given_up() {
            return;
        }
        self.surrogates = true;
        let bytes = text.call_method1(intern!(py, "encode"), (intern!(py, "utf-8"), intern!(py, "surrogatepass")));
        match bytes.and_then(|bytes| Ok(bytes.cast_into::<PyBytes>()?)) {
            Ok(bytes) => wire::json::write_wtf8(bytes.as_bytes(), &mut self.out),
            Err(error) => self.reject(error),
        }
    }

    /// Writes text that is known to be whole.
    #[inline(never)]
    pub(super) fn string(&mut self, text: &str) {
        wire::json::write_str(text, &mut self.out);
    }
}
