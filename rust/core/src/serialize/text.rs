//! Strings: quoted and escaped as `json.dumps(ensure_ascii=False)` does.
//! Lone surrogates are let through here and refused by `Sink::finish`.
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::sink::Sink;

impl Sink {
    /// Writes a string, also one of a subclass: its characters, whatever its `__str__` says.
    #[inline]
    pub(super) fn text(&mut self, text: &Bound<'_, PyString>) {
        match text.to_str() {
            Ok(text) => self.string(text),
            Err(_) => self.dumped(text.as_any()),
        }
    }

    /// Writes text that is known to be whole.
    #[inline(never)]
    pub(super) fn string(&mut self, text: &str) {
        wire::json::write_str(text, &mut self.out);
    }
}
