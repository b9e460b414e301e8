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
    /// Dropped before the dicts: a new dict at the address of one that has ended must not be taken for it.
    #[cfg(Py_3_12)]
    changes: std::sync::Arc<noted::Changes>,
    dicts: Vec<Py<PyDict>>,
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
        self.dicts.iter().map(|dict| ffi::dict_version(dict.bind(py))).fold(0, u64::wrapping_add)
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
    use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

    use pyo3::prelude::*;
    use pyo3::types::PyDict;

    use crate::ffi;

    /// One count of modifications, and what it counts for.
    struct Counter {
        count: Arc<AtomicU64>,
        changes: Weak<Changes>,
    }

    /// The counters in which a modification of the dict at an address is counted.
    static WATCHERS: OnceLock<Mutex<HashMap<usize, Vec<Counter>>>> = OnceLock::new();

    /// No Python code runs, and nothing is freed, while this is locked.
    fn watchers() -> MutexGuard<'static, HashMap<usize, Vec<Counter>>> {
        WATCHERS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Count a modification that is about to be made.
    fn note(dict: usize) {
        for counter in watchers().get(&dict).into_iter().flatten() {
            counter.count.fetch_add(1, Ordering::Release);
        }
    }

    /// The modifications of some dicts; whoever watches the same dicts shares them.
    #[derive(Debug)]
    pub(super) struct Changes {
        count: Arc<AtomicU64>,
        dicts: Vec<usize>,
    }

    impl Changes {
        pub(super) fn of(py: Python<'_>, dicts: &[Py<PyDict>]) -> PyResult<Arc<Self>> {
            let addresses: Vec<usize> = dicts.iter().map(|dict| dict.as_ptr().addr()).collect();
            // They may end here, where nothing is locked.
            let known: Vec<Arc<Self>> = addresses
                .first()
                .and_then(|first| {
                    watchers().get(first).map(|those| those.iter().map(|each| each.changes.clone()).collect())
                })
                .map(|those: Vec<Weak<Self>>| those.iter().filter_map(Weak::upgrade).collect())
                .unwrap_or_default();
            if let Some(changes) = known.into_iter().find(|each| each.dicts == addresses) {
                return Ok(changes);
            }
            let changes = Arc::new(Self { count: Arc::new(AtomicU64::new(1)), dicts: addresses });
            // From here on the counters are taken away again when something fails.
            for (dict, address) in dicts.iter().zip(&changes.dicts) {
                let counter = Counter { count: Arc::clone(&changes.count), changes: Arc::downgrade(&changes) };
                watchers().entry(*address).or_default().push(counter);
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
                if let Some(counters) = watchers.get_mut(address) {
                    counters.retain(|counter| !Arc::ptr_eq(&counter.count, &self.count));
                    if counters.is_empty() {
                        watchers.remove(address);
                    }
                }
            }
        }
    }
}
