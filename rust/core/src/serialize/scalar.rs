//! `None`, booleans, numbers, and the keys of objects, as `json.dumps` prints them.
//! Knows the exact built-in types and their subclasses; everything else is `fallback`'s.
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyInt, PyString};

use super::sink::Sink;
use crate::ffi::entries::{Peeked, Scalar};

/// What came of writing a value that was looked at.
#[derive(Clone, Copy)]
pub(super) enum Leaf {
    Written,
    /// A scalar that only `Sink::rare` writes.
    Rare,
    /// No scalar.
    Other,
}

impl Sink {
    /// Writes a value of exactly the type `str`, `int`, `float`, `bool` or `NoneType`; `false` if it is none of them, or if
    /// the text is given up: whoever walks over many stops there.
    #[inline]
    pub(super) fn scalar(&mut self, value: &Bound<'_, PyAny>) -> bool {
        match self.leaf(Peeked::of(value)) {
            Leaf::Written => true,
            Leaf::Rare => {
                self.rare(value);
                !self.is_given_up()
            }
            Leaf::Other => false,
        }
    }

    /// Writes a value of exactly one of those types, if it takes no Python for that.
    #[expect(clippy::inline_always, reason = "the loops over items call nothing else: 10 % fewer instructions")]
    #[inline(always)]
    pub(super) fn leaf(&mut self, value: Peeked<'_>) -> Leaf {
        match value.scalar() {
            Scalar::Text(text) => {
                if !wire::json::write_short_str(text, &mut self.out) {
                    self.string(text);
                }
            }
            Scalar::Integer(number) => wire::json::write_i64(number, &mut self.out),
            Scalar::Float(number) if number.is_finite() => self.finite(number),
            Scalar::Boolean(true) => self.out.extend_from_slice(b"true"),
            Scalar::Boolean(false) => self.out.extend_from_slice(b"false"),
            Scalar::None => self.out.extend_from_slice(b"null"),
            Scalar::Float(_) | Scalar::Rare => return Leaf::Rare,
            Scalar::Other => return Leaf::Other,
        }
        Leaf::Written
    }

    /// Writes a scalar that `leaf` did not: a string that is not ASCII, a large integer, a float that is not finite.
    #[inline(never)]
    pub(super) fn rare(&mut self, value: &Bound<'_, PyAny>) {
        if let Ok(text) = value.cast::<PyString>() {
            self.text(text);
        } else if let Ok(integer) = value.cast::<PyInt>() {
            self.integer(integer);
        } else if let Ok(float) = value.cast::<PyFloat>() {
            self.float(float);
        } else {
            self.dumped(value);
        }
    }

    /// Writes what an encoder returned: nothing in it is encoded again.
    pub(super) fn encoded(&mut self, value: &Bound<'_, PyAny>) {
        if !self.scalar(value) {
            self.rare(value);
        }
    }

    /// Writes an encoded key and its colon.
    ///
    /// # Errors
    /// Those of putting the key into a dict, in which it has been already.
    pub(super) fn key(&mut self, key: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Ok(text) = key.cast::<PyString>() {
            self.text(text);
        } else if key.is_none() || key.is_instance_of::<PyInt>() || key.is_instance_of::<PyFloat>() {
            self.out.push(b'"');
            self.encoded(key);
            self.out.push(b'"');
        } else {
            // Only `json` knows the words of its refusal.
            let refused = PyDict::new(key.py());
            refused.set_item(key, key.py().None())?;
            self.dumped(refused.as_any());
        }
        self.out.push(b':');
        Ok(())
    }

    #[inline]
    fn integer(&mut self, integer: &Bound<'_, PyInt>) {
        match integer.extract::<i64>() {
            Ok(small) => wire::json::write_i64(small, &mut self.out),
            Err(_) => self.long_integer(integer),
        }
    }

    #[cold]
    #[inline(never)]
    fn long_integer(&mut self, integer: &Bound<'_, PyInt>) {
        if self.is_given_up() {
            return;
        }
        let py = integer.py();
        let digits = py.get_type::<PyInt>().call_method1(intern!(py, "__repr__"), (integer,));
        let digits = digits.and_then(|digits| Ok(digits.cast_into::<PyString>()?));
        match digits.as_ref().map(|digits| digits.to_str()) {
            Ok(Ok(digits)) => self.out.extend_from_slice(digits.as_bytes()),
            Ok(Err(error)) => self.reject(error),
            Err(error) => self.reject(error.clone_ref(py)),
        }
    }

    #[inline]
    fn float(&mut self, float: &Bound<'_, PyFloat>) {
        let number = float.value();
        if number.is_finite() { self.finite(number) } else { self.dumped(float.as_any()) }
    }

    /// Writes a finite number as `float.__repr__` does.
    pub(super) fn finite(&mut self, number: f64) {
        wire::json::write_f64(number, &mut self.out);
    }
}
