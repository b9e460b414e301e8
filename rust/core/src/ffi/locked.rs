//! State that several calls share, looked at and changed for a moment only.
#![cfg_attr(
    not(Py_GIL_DISABLED),
    expect(
        unsafe_code,
        reason = "PyO3 has no cell that the lock of the interpreter protects, and a lock of its own is dear"
    )
)]

#[cfg(not(Py_GIL_DISABLED))]
use std::cell::UnsafeCell;
#[cfg(not(Py_GIL_DISABLED))]
use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(Py_GIL_DISABLED)]
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

/// State that one call at a time has, while nothing of Python's is called, or dropped: either may lead back here.
///
/// Whoever looks at it is attached to the interpreter, whose lock keeps other threads out where there is one.
/// Measured: a request on the engine's own protocol does this 60 times, each with two atomic operations if it is a mutex.
#[cfg(not(Py_GIL_DISABLED))]
#[derive(Default)]
pub(crate) struct Locked<T> {
    /// Only whoever holds the interpreter's lock reads or writes it.
    is_held: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached by those only who hold the interpreter's lock, one after the other, and may be sent between
// their threads.
#[cfg(not(Py_GIL_DISABLED))]
unsafe impl<T: Send> Sync for Locked<T> {}

#[cfg(not(Py_GIL_DISABLED))]
impl<T> Locked<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self { is_held: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// Look at the state, or change it. What is taken out has to be returned, so that it is dropped afterwards.
    #[inline]
    pub(crate) fn with<R>(&self, _: Python<'_>, change: impl FnOnce(&mut T) -> R) -> R {
        // Whoever holds it in another thread has let the interpreter's lock go, against what is said above.
        assert!(!self.is_held.load(Ordering::Relaxed), "shared state is looked at while it is being changed");
        self.is_held.store(true, Ordering::Relaxed);
        let _held = Held(&self.is_held);
        // SAFETY: by the token this thread holds the interpreter's lock, and by the mark nobody else has a reference.
        change(unsafe { &mut *self.value.get() })
    }

    /// Show the state to Python's garbage collector; what is being changed is not shown, and kept.
    ///
    /// # Errors
    /// What `visit` returns.
    pub(crate) fn visit(
        &self,
        _: &PyVisit<'_>,
        visit: impl FnOnce(&T) -> Result<(), PyTraverseError>,
    ) -> Result<(), PyTraverseError> {
        if self.is_held.load(Ordering::Relaxed) {
            return Ok(());
        }
        // SAFETY: the collector holds the interpreter's lock, and by the mark nobody has a reference that changes it.
        visit(unsafe { &*self.value.get() })
    }
}

/// Takes the mark away, after a panic too.
#[cfg(not(Py_GIL_DISABLED))]
struct Held<'a>(&'a AtomicBool);

#[cfg(not(Py_GIL_DISABLED))]
impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// State behind a lock that is held while nothing of Python's is called, or dropped: either may lead back here.
#[cfg(Py_GIL_DISABLED)]
#[derive(Default)]
pub(crate) struct Locked<T>(Mutex<T>);

#[cfg(Py_GIL_DISABLED)]
impl<T> Locked<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// Look at the state, or change it. What is taken out has to be returned, so that it is dropped afterwards.
    #[inline]
    pub(crate) fn with<R>(&self, _: Python<'_>, change: impl FnOnce(&mut T) -> R) -> R {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Show the state to Python's garbage collector.
    ///
    /// It does not wait for another thread, which may have been stopped for the collection: objects that are not shown
    /// are kept.
    ///
    /// # Errors
    /// What `visit` returns.
    pub(crate) fn visit(
        &self,
        _: &PyVisit<'_>,
        visit: impl FnOnce(&T) -> Result<(), PyTraverseError>,
    ) -> Result<(), PyTraverseError> {
        self.0.try_lock().map_or(Ok(()), |state| visit(&state))
    }
}

impl<T> Locked<T> {
    /// Put another value there, and return the one before.
    #[inline]
    pub(crate) fn replace(&self, py: Python<'_>, value: T) -> T {
        self.with(py, |state| std::mem::replace(state, value))
    }
}
