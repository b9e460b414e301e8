//! Generator dependencies that wait at their `yield`: what is closed after the endpoint, or after the response.
//!
//! Here is how they end when all goes well; when not, Python unwinds them (`native.unwind`).
//! Source: FastAPI behaviour, `routing.request_response` (two exit stacks) and `contextlib` (a generator as a context).

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyList;

/// When an entered generator is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// Before the response is sent.
    Function,
    /// After it.
    Request,
}

/// A generator at its `yield`.
pub(crate) struct Exit {
    pub(crate) generator: Py<PyAny>,
    pub(crate) is_async: bool,
    pub(crate) lifetime: Lifetime,
}

/// The entered generators of one request, in the order of their entry.
///
/// Shared with the worker thread that enters some, so that a request cancelled meanwhile still knows them.
#[derive(Clone, Default)]
pub(crate) struct Exits(Option<Arc<Mutex<Vec<Exit>>>>);

impl Exits {
    /// A list for a plan with generators; without any, nothing is allocated.
    pub(crate) fn new(has_generators: bool) -> Self {
        Self(has_generators.then(Arc::default))
    }

    pub(crate) fn push(&self, exit: Exit) {
        if let Some(exits) = &self.0 {
            exits.lock().unwrap_or_else(PoisonError::into_inner).push(exit);
        }
    }

    /// Take the generator of this lifetime that was entered last.
    pub(crate) fn pop(&self, lifetime: Lifetime) -> Option<Exit> {
        let mut exits = self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        let last = exits.iter().rposition(|exit| exit.lifetime == lifetime)?;
        Some(exits.remove(last))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|exits| exits.lock().unwrap_or_else(PoisonError::into_inner).is_empty())
    }

    /// Take all generators of this lifetime as a list of `(generator, is_async)`, in the order of their entry.
    pub(crate) fn drain<'py>(&self, py: Python<'py>, lifetime: Lifetime) -> PyResult<Bound<'py, PyList>> {
        let mut taken = Vec::new();
        while let Some(exit) = self.pop(lifetime) {
            taken.push((exit.generator, exit.is_async));
        }
        taken.reverse();
        PyList::new(py, taken)
    }
}

/// The end of a synchronous generator: a callable for a worker thread.
#[pyclass(frozen, module = "ferroapi._core")]
pub(crate) struct Closer {
    pub(crate) generator: Py<PyAny>,
}

#[pymethods]
impl Closer {
    /// Run the generator to its end; whether it stopped there is told by the result.
    fn __call__(&self, py: Python<'_>) -> PyResult<bool> {
        match self.generator.call_method0(py, intern!(py, "__next__")) {
            Ok(_) => Ok(false),
            Err(stop) if stop.is_instance_of::<pyo3::exceptions::PyStopIteration>(py) => Ok(true),
            Err(error) => Err(error),
        }
    }
}
