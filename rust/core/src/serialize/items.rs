//! The entries of an object that is written, one at a time, and what their keys are.

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyIterator, PySet, PyString, PyTuple};

use super::sink::HIDDEN;
use crate::{ffi, names};

/// A key and its value.
pub(crate) type Entry<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

/// A walk over a `dict` that raises, as Python's does, when the dict changes under it.
pub(crate) struct Items<'py> {
    pub(super) dict: Bound<'py, PyDict>,
    pub(super) position: isize,
    size: usize,
    /// How many entries are to come.
    pub(crate) left: usize,
}

impl<'py> Items<'py> {
    pub(crate) fn new(dict: Bound<'py, PyDict>) -> Self {
        Items { position: 0, size: dict.len(), left: dict.len(), dict }
    }

    /// The next entry, if there is one.
    ///
    /// # Errors
    /// `RuntimeError`: the dict has changed, and so has the number of its entries, or there is one more than it had.
    #[inline]
    pub(crate) fn next(&mut self) -> PyResult<Option<Entry<'py>>> {
        self.check_size()?;
        let item = ffi::entries::next_entry(&self.dict, &mut self.position);
        if item.is_some() {
            self.left = self.left.checked_sub(1).ok_or_else(keys_changed)?;
        }
        Ok(item)
    }

    /// Whether there is no entry more.
    ///
    /// # Errors
    /// `RuntimeError`: the dict has changed, and so has the number of its entries, or there is one more than it had.
    #[inline]
    pub(super) fn is_over(&self) -> PyResult<bool> {
        self.check_size()?;
        if self.left > 0 {
            return Ok(false);
        }
        if ffi::entries::has_next(&self.dict, self.position) { Err(keys_changed()) } else { Ok(true) }
    }

    /// Whether no other code has run since the entries were counted, so that there is none behind the last.
    #[inline]
    pub(super) fn is_as_counted(&self) -> bool {
        self.left == self.size
    }

    #[inline]
    fn check_size(&self) -> PyResult<()> {
        if self.dict.len() == self.size { Ok(()) } else { Err(size_changed()) }
    }
}

#[cold]
fn size_changed() -> PyErr {
    PyRuntimeError::new_err("dictionary changed size during iteration")
}

#[cold]
fn keys_changed() -> PyErr {
    PyRuntimeError::new_err("dictionary keys changed during iteration")
}

/// Where the entries of an object come from.
pub(super) enum Source<'py> {
    Items(Items<'py>),
    /// The items of a subclass of `dict`, and the keys it admits to.
    Pairs(Bound<'py, PyIterator>, Bound<'py, PySet>),
}

impl<'py> Source<'py> {
    pub(super) fn next(&mut self) -> PyResult<Option<Entry<'py>>> {
        match self {
            Source::Items(items) => items.next(),
            Source::Pairs(pairs, keys) => {
                for pair in pairs.by_ref() {
                    let (key, value) = unpack(&pair?)?;
                    if keys.contains(&key)? {
                        return Ok(Some((key, value)));
                    }
                }
                Ok(None)
            }
        }
    }
}

/// What `key, value = pair` does; what is no pair has Python say so, in the words of its version.
fn unpack<'py>(pair: &Bound<'py, PyAny>) -> PyResult<Entry<'py>> {
    match pair.cast_exact::<PyTuple>().map(PyTupleMethods::as_slice) {
        Ok([key, value]) => Ok((key.clone(), value.clone())),
        _ => names::unpack_pair(pair.py())?.call1((pair,))?.extract(),
    }
}

/// Whether a key or value is exactly of a type that encodes to itself.
pub(super) fn is_scalar(object: &Bound<'_, PyAny>) -> bool {
    object.is_exact_instance_of::<PyString>()
        || object.is_exact_instance_of::<PyInt>()
        || object.is_exact_instance_of::<PyFloat>()
        || object.is_exact_instance_of::<PyBool>()
        || object.is_none()
}

/// Whether FastAPI leaves out a key.
pub(super) fn is_hidden(key: &Bound<'_, PyAny>) -> PyResult<bool> {
    if !key.is_instance_of::<PyString>() {
        return Ok(false);
    }
    key.call_method1(intern!(key.py(), "startswith"), (HIDDEN,))?.is_truthy()
}
