//! A key of the dicts that one server makes: it stands where it stood in the one before, and is looked for there first.
//!
//! Measured: a lookup costs 115 instructions, this 53 and what is around it; a request looks six keys of its scope up.

use std::sync::atomic::{AtomicIsize, AtomicU32, Ordering};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::ffi;

/// Where a key was found the last time.
pub(crate) struct Place {
    position: AtomicIsize,
    misses: AtomicU32,
}

/// Where dicts come from several servers in turn, they are not searched for a new place each time.
const MISSES_TO_A_SEARCH: u32 = 16;

impl Place {
    pub(crate) const fn new() -> Self {
        Self { position: AtomicIsize::new(0), misses: AtomicU32::new(0) }
    }

    /// The value under `key`, a text that is interned.
    ///
    /// # Errors
    /// Those of a lookup.
    #[inline]
    pub(crate) fn get<'py>(
        &self,
        dict: &Bound<'py, PyDict>,
        key: &Bound<'py, PyString>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        match ffi::entries::entry_at(dict, self.position.load(Ordering::Relaxed)) {
            Some(entry) if entry.key.is(key) => Ok(Some(entry.value.to_owned())),
            _ => self.find(dict, key),
        }
    }

    #[cold]
    #[inline(never)]
    fn find<'py>(&self, dict: &Bound<'py, PyDict>, key: &Bound<'py, PyString>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let found = dict.get_item(key)?;
        if found.is_some() && self.misses.fetch_add(1, Ordering::Relaxed) % MISSES_TO_A_SEARCH == 0 {
            let mut position = 0;
            while let Some(entry) = ffi::entries::entry_at(dict, position) {
                if entry.key.is(key) {
                    self.position.store(position, Ordering::Relaxed);
                    break;
                }
                position = entry.next;
            }
        }
        Ok(found)
    }
}
