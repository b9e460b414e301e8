//! State that several calls share, looked at and changed for a moment only.

use std::sync::{Mutex, PoisonError};

use pyo3::PyTraverseError;

/// State behind a lock that is held while nothing of Python's is called, or dropped: either may lead back here.
#[derive(Default)]
pub(crate) struct Locked<T>(Mutex<T>);

impl<T> Locked<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// Look at the state, or change it. What is taken out has to be returned, so that it is dropped afterwards.
    #[inline]
    pub(crate) fn with<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Put another value there, and return the one before.
    pub(crate) fn replace(&self, value: T) -> T {
        self.with(|state| std::mem::replace(state, value))
    }

    /// Show the state to Python's garbage collector.
    ///
    /// It does not wait for another thread, which may have been stopped for the collection: objects that are not shown
    /// are kept.
    ///
    /// # Errors
    /// What `visit` returns.
    pub(crate) fn visit(&self, visit: impl FnOnce(&T) -> Result<(), PyTraverseError>) -> Result<(), PyTraverseError> {
        self.0.try_lock().map_or(Ok(()), |state| visit(&state))
    }
}
