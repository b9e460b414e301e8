//! Dicts that are watched: one number for all of them, which grows whenever one is modified.
//!
//! From Python 3.12 on the interpreter says so when it happens; before, each dict has a version.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};
use pyo3::{PyTraverseError, PyVisit};

use crate::ffi;

/// The dict in which a module, a class or an instance keeps its own attributes; a dict is its own.
///
/// # Errors
/// `AttributeError` if it has none.
pub(crate) fn namespace<'py>(owner: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    if let Ok(dict) = owner.cast_exact::<PyDict>() {
        return Ok(dict.clone());
    }
    match owner.cast::<PyType>() {
        Ok(class) => ffi::class_dict(class),
        Err(_) => Ok(ffi::instance_dict(owner)?.cast_into()?),
    }
}

/// Dicts that are watched as long as this exists.
#[derive(Debug)]
pub(crate) struct Watched {
    dicts: Vec<Py<PyDict>>,
    #[cfg(Py_3_12)]
    changes: noted::Changes,
}

impl Watched {
    /// Watch each of the dicts.
    ///
    /// # Errors
    /// `RuntimeError`: the interpreter has no watcher left.
    #[cfg(Py_3_12)]
    pub(crate) fn new(py: Python<'_>, dicts: Vec<Py<PyDict>>) -> PyResult<Self> {
        Ok(Self { changes: noted::Changes::of(py, &dicts)?, dicts })
    }

    #[cfg(not(Py_3_12))]
    #[expect(clippy::unnecessary_wraps, reason = "stands for the function above")]
    pub(crate) fn new(_py: Python<'_>, dicts: Vec<Py<PyDict>>) -> PyResult<Self> {
        Ok(Self { dicts })
    }

    /// A number that was never returned before the last modification, and is not 0.
    #[cfg(not(Py_3_12))]
    #[inline]
    pub(crate) fn version(&self, py: Python<'_>) -> u64 {
        // Each modification gives a dict a number that is greater than all before, so that the sum is greater too.
        self.dicts.iter().map(|dict| ffi::dict_version(dict.bind(py)).map_or(0, u64::from)).fold(0, u64::wrapping_add)
    }

    /// A number that was never returned before the last modification, and is not 0.
    #[cfg(Py_3_12)]
    #[inline]
    pub(crate) fn version(&self, _py: Python<'_>) -> u64 {
        self.changes.count()
    }

    pub(crate) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.dicts.iter().try_for_each(|dict| visit.call(dict))
    }
}

/// What the interpreter reports.
#[cfg(Py_3_12)]
mod noted {
    use std::collections::HashMap;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

    use pyo3::prelude::*;
    use pyo3::types::PyDict;

    use crate::ffi;

    type Count = Arc<AtomicU64>;

    /// The counts in which a modification of the dict at an address is counted.
    static WATCHERS: OnceLock<Mutex<HashMap<usize, Vec<Count>>>> = OnceLock::new();

    /// No Python code runs, and nothing is freed, while this is locked.
    fn watchers() -> MutexGuard<'static, HashMap<usize, Vec<Count>>> {
        WATCHERS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Count a modification that is about to be made.
    fn note(dict: usize) {
        for count in watchers().get(&dict).into_iter().flatten() {
            count.fetch_add(1, Ordering::Release);
        }
    }

    /// The modifications of some dicts.
    #[derive(Debug)]
    pub(super) struct Changes {
        count: Count,
        dicts: Vec<usize>,
    }

    impl Changes {
        pub(super) fn of(py: Python<'_>, dicts: &[Py<PyDict>]) -> PyResult<Self> {
            let count = Arc::new(AtomicU64::new(1));
            let addresses = dicts.iter().map(|dict| dict.as_ptr().addr()).collect();
            // From here on the counts are taken away again when something fails.
            let changes = Self { count, dicts: addresses };
            for (dict, address) in dicts.iter().zip(&changes.dicts) {
                watchers().entry(*address).or_default().push(Arc::clone(&changes.count));
                ffi::watch(dict.bind(py), note)?;
            }
            Ok(changes)
        }

        #[inline]
        pub(super) fn count(&self) -> u64 {
            self.count.load(Ordering::Acquire)
        }
    }

    impl Drop for Changes {
        fn drop(&mut self) {
            let mut watchers = watchers();
            for address in &self.dicts {
                if let Some(counts) = watchers.get_mut(address) {
                    counts.retain(|count| !Arc::ptr_eq(count, &self.count));
                    if counts.is_empty() {
                        watchers.remove(address);
                    }
                }
            }
        }
    }
}
