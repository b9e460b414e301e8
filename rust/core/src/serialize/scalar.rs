//! `None`, booleans, numbers, and the keys of objects, as `json.dumps` prints them.
//! Knows the exact built-in types and their subclasses; everything else is `fallback`'s.
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyString};

use super::sink::Sink;

impl Sink {
    /// Writes a value of exactly the type `str`, `int`, `float`, `bool` or `NoneType`; `false` if it is none of them.
    ///
    /// # Errors
    /// Only what importing the types can raise.
    #[inline]
    pub(super) fn scalar(&mut self, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        if let Ok(text) = value.cast_exact::<PyString>() {
            self.text(text)?;
        } else if let Ok(integer) = value.cast_exact::<PyInt>() {
            self.integer(integer)?;
        } else if let Ok(boolean) = value.cast_exact::<PyBool>() {
            self.out.extend_from_slice(if boolean.is_true() { b"true" } else { b"false" });
        } else if value.is_none() {
            self.out.extend_from_slice(b"null");
        } else if let Ok(float) = value.cast_exact::<PyFloat>() {
            self.float(float)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Writes what an encoder returned: nothing in it is encoded again.
    ///
    /// # Errors
    /// Only what importing the types can raise.
    pub(super) fn encoded(&mut self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        if self.scalar(value)? {
            Ok(())
        } else if let Ok(text) = value.cast::<PyString>() {
            self.text(text)
        } else if let Ok(integer) = value.cast::<PyInt>() {
            self.integer(integer)
        } else if let Ok(float) = value.cast::<PyFloat>() {
            self.float(float)
        } else {
            self.dumped(value)
        }
    }

    /// Writes an encoded key and its colon.
    ///
    /// # Errors
    /// Only what importing the types can raise.
    #[inline]
    pub(super) fn key(&mut self, key: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Ok(text) = key.cast_exact::<PyString>() {
            self.text(text)?;
        } else {
            self.other_key(key)?;
        }
        self.out.push(b':');
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn other_key(&mut self, key: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Ok(text) = key.cast::<PyString>() {
            return self.text(text);
        }
        if !(key.is_none() || key.is_instance_of::<PyInt>() || key.is_instance_of::<PyFloat>()) {
            // Only `json` knows the words of its refusal; what it writes is not used.
            let refused = PyDict::new(key.py());
            refused.set_item(key, key.py().None())?;
            return self.dumped(refused.as_any());
        }
        self.out.push(b'"');
        self.encoded(key)?;
        self.out.push(b'"');
        Ok(())
    }

    #[inline]
    fn integer(&mut self, integer: &Bound<'_, PyInt>) -> PyResult<()> {
        if let Ok(small) = integer.extract::<i64>() {
            wire::json::write_i64(small, &mut self.out);
            return Ok(());
        }
        self.long_integer(integer)
    }

    #[cold]
    #[inline(never)]
    fn long_integer(&mut self, integer: &Bound<'_, PyInt>) -> PyResult<()> {
        let py = integer.py();
        let digits = py.get_type::<PyInt>().call_method1(intern!(py, "__repr__"), (integer,));
        match digits.and_then(|digits| Ok(digits.cast_into::<PyString>()?)) {
            Ok(digits) => self.out.extend_from_slice(digits.to_str()?.as_bytes()),
            Err(error) => self.reject(error),
        }
        Ok(())
    }

    #[inline]
    fn float(&mut self, float: &Bound<'_, PyFloat>) -> PyResult<()> {
        let number = float.value();
        if !number.is_finite() {
            return self.dumped(float.as_any());
        }
        self.finite(number);
        Ok(())
    }

    /// Writes a finite number as `float.__repr__` does.
    pub(super) fn finite(&mut self, number: f64) {
        wire::json::write_f64(number, &mut self.out);
    }
}
