//! The entries of dicts, one after the other, looked at where they are.
#![expect(
    unsafe_code,
    reason = "an iteration that another thread's change ends, and values that are read without references"
)]

use std::marker::PhantomData;

use pyo3::prelude::*;
use pyo3::sync::critical_section::with_critical_section;
use pyo3::types::{PyDict, PyString};

/// One entry of a dict.
pub(crate) struct DictEntry<'a, 'py> {
    pub(crate) key: Borrowed<'a, 'py, PyAny>,
    pub(crate) value: Borrowed<'a, 'py, PyAny>,
    /// The position of the next one.
    pub(crate) next: isize,
}

/// The entry of a dict at a position, or the first one behind it; none if there is none.
///
/// It is for whoever keeps the interpreter's lock until the entry is let go, which is why there is none without that lock.
#[cfg(not(Py_GIL_DISABLED))]
#[inline]
pub(crate) fn entry_at<'a, 'py>(dict: &'a Bound<'py, PyDict>, position: isize) -> Option<DictEntry<'a, 'py>> {
    let mut next = position;
    let mut key = std::ptr::null_mut();
    let mut value = std::ptr::null_mut();
    // SAFETY: the object is a live dict. The function compares the position with how many entries there are, and gives
    // nothing for one that is negative or too large.
    let is_found = unsafe { pyo3::ffi::PyDict_Next(dict.as_ptr(), &raw mut next, &raw mut key, &raw mut value) } != 0;
    if !is_found {
        return None;
    }
    // SAFETY: it has set both to references that the dict owns.
    let key = unsafe { Borrowed::from_ptr(dict.py(), key) };
    // SAFETY: the same.
    let value = unsafe { Borrowed::from_ptr(dict.py(), value) };
    Some(DictEntry { key, value, next })
}

#[cfg(Py_GIL_DISABLED)]
pub(crate) fn entry_at<'a, 'py>(_dict: &'a Bound<'py, PyDict>, _position: isize) -> Option<DictEntry<'a, 'py>> {
    None
}

/// A dict's next entry; `position` is 0 for the first, and otherwise what the call before left there.
///
/// Measured: without `PyO3`'s own count of what is left, an entry takes 40 instructions less of 300.
#[inline]
pub(crate) fn next_entry<'py>(
    dict: &Bound<'py, PyDict>,
    position: &mut isize,
) -> Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    with_critical_section(dict, || {
        let (mut key, mut value) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: the dict is live, and the pointers are to places of this function. A position that is out of date,
        // since the dict was changed, finds another entry or none.
        if unsafe { pyo3::ffi::PyDict_Next(dict.as_ptr(), position, &raw mut key, &raw mut value) } == 0 {
            return None;
        }
        // SAFETY: a borrowed reference to the key of an entry that is there until the section ends.
        let key = unsafe { Borrowed::from_ptr(dict.py(), key) }.to_owned();
        // SAFETY: the same for its value.
        let value = unsafe { Borrowed::from_ptr(dict.py(), value) }.to_owned();
        Some((key, value))
    })
}

/// Whether a dict has an entry at a position, or behind it.
#[inline]
pub(crate) fn has_next(dict: &Bound<'_, PyDict>, mut position: isize) -> bool {
    let nothing = std::ptr::null_mut();
    with_critical_section(dict, || {
        // SAFETY: the dict is live; a position that is out of date finds another entry or none, and neither a key nor a
        // value is asked for.
        unsafe { pyo3::ffi::PyDict_Next(dict.as_ptr(), &raw mut position, nothing, nothing) != 0 }
    })
}

/// The value of a dict's next entry, if its key is this very object.
///
/// `position` is 0 for the first entry, and otherwise what the call before left there.
#[inline]
pub(crate) fn next_value<'py>(
    dict: &Bound<'py, PyDict>,
    position: &mut isize,
    key: &Py<PyString>,
) -> Option<Bound<'py, PyAny>> {
    with_critical_section(dict, || {
        let (mut found, mut value) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: the dict is live, and the pointers are to places of this function. A position that is out of date,
        // since the dict was changed, finds another entry or none.
        let more = unsafe { pyo3::ffi::PyDict_Next(dict.as_ptr(), position, &raw mut found, &raw mut value) };
        if more == 0 || found != key.as_ptr() {
            return None;
        }
        // SAFETY: a borrowed reference to the value of an entry that is there until the section ends.
        Some(unsafe { Borrowed::from_ptr(dict.py(), value) }.to_owned())
    })
}

/// An object that is looked at where it is: no reference is held, and nothing here can run Python code.
#[derive(Clone, Copy)]
pub(crate) struct Peeked<'a>(*mut pyo3::ffi::PyObject, PhantomData<&'a ()>);

/// What a looked-at value of a type of JSON's is.
pub(crate) enum Scalar<'a> {
    Text(&'a str),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    None,
    /// A string or an integer that only the interpreter reads.
    Rare,
    Other,
}

impl<'a> Peeked<'a> {
    /// Looks at an object as long as its reference is there.
    #[inline]
    pub(crate) fn of<T>(object: &'a Bound<'_, T>) -> Self {
        Peeked(object.as_ptr(), PhantomData)
    }

    #[inline]
    pub(crate) fn address(self) -> usize {
        self.0.addr()
    }

    #[inline]
    fn is_exactly(self, class: *mut pyo3::ffi::PyTypeObject) -> bool {
        // SAFETY: the object is alive, by the promise of who made this.
        unsafe { pyo3::ffi::Py_TYPE(self.0) == class }
    }

    /// The characters of exactly a `str`, if they are there as UTF-8.
    #[inline]
    pub(crate) fn text(self) -> Option<&'a str> {
        if self.is_exactly(&raw mut pyo3::ffi::PyUnicode_Type) { self.utf8() } else { None }
    }

    /// The characters of a string of ASCII.
    ///
    /// Measured: a call to the interpreter takes 30 instructions a string, this 10.
    #[cfg(not(any(Py_3_14, Py_GIL_DISABLED)))]
    #[inline]
    fn utf8(self) -> Option<&'a str> {
        // SAFETY: a live object that is exactly a `str`; what is read does not change.
        if unsafe { pyo3::ffi::PyUnicode_IS_COMPACT_ASCII(self.0) } == 0 {
            return None;
        }
        // SAFETY: the same.
        let length = unsafe { pyo3::ffi::PyUnicode_GET_LENGTH(self.0) };
        // SAFETY: a string of ASCII has one byte a character, in itself.
        let data = unsafe { pyo3::ffi::PyUnicode_1BYTE_DATA(self.0) };
        #[expect(clippy::cast_sign_loss, reason = "a length is not negative")]
        // SAFETY: that many bytes are there, never change, and go with the object.
        let bytes = unsafe { std::slice::from_raw_parts(data, length as usize) };
        // SAFETY: ASCII is UTF-8.
        Some(unsafe { std::str::from_utf8_unchecked(bytes) })
    }

    /// The characters, where the layout of strings is not known.
    #[cfg(all(Py_3_14, not(Py_GIL_DISABLED)))]
    #[inline]
    fn utf8(self) -> Option<&'a str> {
        let mut length = 0;
        // SAFETY: a live object that is exactly a `str`; encoding it runs no Python code.
        let data = unsafe { pyo3::ffi::PyUnicode_AsUTF8AndSize(self.0, &raw mut length) };
        if data.is_null() {
            // SAFETY: called with the lock of the interpreter, as all here is.
            unsafe { pyo3::ffi::PyErr_Clear() };
            return None;
        }
        #[expect(clippy::cast_sign_loss, reason = "a length is not negative")]
        // SAFETY: that many bytes are there, never change, and go with the object.
        let bytes = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), length as usize) };
        // SAFETY: what the interpreter encoded is UTF-8.
        Some(unsafe { std::str::from_utf8_unchecked(bytes) })
    }

    /// Without that lock encoding a string may let others in, who take the string away: it takes a reference.
    #[cfg(Py_GIL_DISABLED)]
    #[expect(clippy::unused_self, reason = "stands for the functions above")]
    fn utf8(self) -> Option<&'a str> {
        None
    }

    /// The value, if it is of exactly the type `str`, `int`, `float`, `bool` or `NoneType`.
    #[expect(clippy::inline_always, reason = "what is made here is taken apart at once")]
    #[inline(always)]
    pub(crate) fn scalar(self) -> Scalar<'a> {
        if self.is_exactly(&raw mut pyo3::ffi::PyUnicode_Type) {
            self.utf8().map_or(Scalar::Rare, Scalar::Text)
        } else if self.is_exactly(&raw mut pyo3::ffi::PyLong_Type) {
            let mut overflow = 0;
            // SAFETY: a live object that is exactly an `int`, of which nothing is called.
            let number = unsafe { pyo3::ffi::PyLong_AsLongLongAndOverflow(self.0, &raw mut overflow) };
            if overflow == 0 { Scalar::Integer(number) } else { Scalar::Rare }
        } else if self.is_exactly(&raw mut pyo3::ffi::PyFloat_Type) {
            // SAFETY: a live object that is exactly a `float`.
            Scalar::Float(unsafe { pyo3::ffi::PyFloat_AS_DOUBLE(self.0) })
        } else if self.is_exactly(&raw mut pyo3::ffi::PyBool_Type) {
            // SAFETY: it only returns a pointer.
            Scalar::Boolean(self.0 == unsafe { pyo3::ffi::Py_True() })
        // SAFETY: it only returns a pointer.
        } else if self.0 == unsafe { pyo3::ffi::Py_None() } {
            Scalar::None
        } else {
            Scalar::Other
        }
    }
}

/// What follows on an entry that was shown.
pub(crate) enum Visit {
    Next,
    /// The entry is taken out, with references.
    Take,
    Leave,
}

/// Shows a dict's entries, from `position` on, to `visit` until it says otherwise; the entry that it takes is returned.
///
/// `position` is 0 for the first entry, and otherwise what the call before left there. What can be sent to another
/// thread has no way to call Python; so no entry can go away while `visit` looks at it.
///
/// Measured: references to the key and the value, and a call for each entry, cost 25 instructions of 140.
#[expect(clippy::inline_always, reason = "once, where entries are written")]
#[inline(always)]
pub(crate) fn visit_entries<'py>(
    dict: &Bound<'py, PyDict>,
    position: &mut isize,
    mut visit: impl FnMut(Peeked<'_>, Peeked<'_>) -> Visit + Send,
) -> Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let py = dict.py();
    with_critical_section(dict, || {
        let (mut key, mut value) = (std::ptr::null_mut(), std::ptr::null_mut());
        loop {
            // SAFETY: the dict is live, and the pointers are to places of this function. A position that is out of
            // date, since the dict was changed, finds another entry or none.
            if unsafe { pyo3::ffi::PyDict_Next(dict.as_ptr(), position, &raw mut key, &raw mut value) } == 0 {
                return None;
            }
            match visit(Peeked(key, PhantomData), Peeked(value, PhantomData)) {
                Visit::Next => {}
                Visit::Take => {
                    // SAFETY: a borrowed reference to the key of an entry that is there until the section ends.
                    let key = unsafe { Borrowed::from_ptr(py, key) }.to_owned();
                    // SAFETY: the same for its value.
                    let value = unsafe { Borrowed::from_ptr(py, value) }.to_owned();
                    return Some((key, value));
                }
                Visit::Leave => return None,
            }
        }
    })
}
