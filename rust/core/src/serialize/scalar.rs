//! `None`, booleans, numbers, and the keys of objects, as `json.dumps` prints them.
//! Knows the exact built-in types and their subclasses; everything else is `fallback`'s.
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyString};

use super::sink::Sink;

impl Sink {
    /// Writes a value of exactly the type `str`, `int`, `float`, `bool` or `NoneType`; `false` if it is none of them.
    #[expect(clippy::inline_always, reason = "the loops over items call nothing else: 10 % fewer instructions")]
    #[inline(always)]
    pub(super) fn scalar(&mut self, value: &Bound<'_, PyAny>) -> bool {
        if let Ok(text) = value.cast_exact::<PyString>() {
            self.text(text);
        } else if let Ok(integer) = value.cast_exact::<PyInt>() {
            self.integer(integer);
        } else if let Ok(boolean) = value.cast_exact::<PyBool>() {
            self.out.extend_from_slice(if boolean.is_true() { b"true" } else { b"false" });
        } else if value.is_none() {
            self.out.extend_from_slice(b"null");
        } else if let Ok(float) = value.cast_exact::<PyFloat>() {
            self.float(float);
        } else {
            return false;
        }
        true
    }

    /// Writes what an encoder returned: nothing in it is encoded again.
    pub(super) fn encoded(&mut self, value: &Bound<'_, PyAny>) {
        if self.scalar(value) {
        } else if let Ok(text) = value.cast::<PyString>() {
            self.text(text);
        } else if let Ok(integer) = value.cast::<PyInt>() {
            self.integer(integer);
        } else if let Ok(float) = value.cast::<PyFloat>() {
            self.float(float);
        } else {
            self.dumped(value);
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
