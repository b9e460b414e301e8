//! Generator dependencies that wait at their `yield`: what is closed after the endpoint, or after the response.
//!
//! Here is how they end when all goes well; when not, Python unwinds them (`ferroapi._engine.teardown.unwind`).
//! Source: FastAPI behaviour, `routing.request_response` (two exit stacks) and `contextlib` (a generator as a context).

use std::sync::Arc;

use pyo3::exceptions::{PyStopAsyncIteration, PyStopIteration};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyList;
use pyo3::{PyTraverseError, PyVisit};

use crate::error::{Error, guarded, raised_while_handling};
use crate::ffi::locked::Locked;

/// When an entered generator is closed.
#[pyclass(frozen, eq, hash, from_py_object, rename_all = "SCREAMING_SNAKE_CASE", module = "ferroapi._core")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lifetime {
    /// Before the response is sent.
    Function,
    /// After it.
    Request,
    /// After the exception handlers of the route, inside those of the application.
    Connection,
}

/// What has to be left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EnteredKind {
    /// An async generator at its `yield`.
    Async,
    /// A generator at its `yield`.
    Plain,
    /// The cancel scope that was entered before the first async generator, and protects the ends of all.
    Scope,
    /// An exit stack that user code can reach through its `Request`.
    Stack,
}

impl EnteredKind {
    fn word(self) -> &'static str {
        match self {
            Self::Async => "async",
            Self::Plain => "plain",
            Self::Scope => "scope",
            Self::Stack => "stack",
        }
    }
}

/// A generator at its `yield`, or the cancel scope around them.
pub(crate) struct Entered {
    pub(crate) object: Py<PyAny>,
    pub(crate) kind: EnteredKind,
    pub(crate) lifetime: Lifetime,
}

/// The entered generators of one request, in the order of their entry.
///
/// Shared with the worker thread that enters some, so that a request cancelled meanwhile still knows them.
#[derive(Clone, Default)]
pub(crate) struct Teardown(Option<Arc<Locked<Vec<Entered>>>>);

impl Teardown {
    /// A list for a plan that enters something; for any other, nothing is allocated.
    pub(crate) fn new(enters: bool) -> Self {
        Self(enters.then(Arc::default))
    }

    /// Whether nothing can be pushed.
    pub(crate) fn is_unneeded(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn push(&self, py: Python<'_>, entered: Entered) {
        if let Some(all) = &self.0 {
            all.with(py, |all| all.push(entered));
        }
    }

    /// The cancel scope, if it is entered.
    pub(crate) fn scope(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.0.as_ref()?.with(py, |all| {
            all.iter().find(|entered| entered.kind == EnteredKind::Scope).map(|entered| entered.object.clone_ref(py))
        })
    }

    /// Whether one thing is still to be left.
    pub(crate) fn has_one(&self, py: Python<'_>) -> bool {
        self.0.as_ref().is_some_and(|all| all.with(py, |all| all.len() == 1))
    }

    /// Take what of this lifetime was entered last.
    pub(crate) fn pop(&self, py: Python<'_>, lifetime: Lifetime) -> Option<Entered> {
        self.0.as_ref()?.with(py, |all| {
            let last = all.iter().rposition(|entered| entered.lifetime == lifetime)?;
            Some(all.remove(last))
        })
    }

    /// Whether nothing has to be left: no generator waits, and nobody used an exit stack.
    pub(crate) fn is_idle(&self, py: Python<'_>) -> PyResult<bool> {
        let Some(all) = &self.0 else { return Ok(true) };
        let stacks: Option<Vec<Py<PyAny>>> = all.with(py, |all| {
            all.iter()
                .map(|entered| (entered.kind == EnteredKind::Stack).then(|| entered.object.clone_ref(py)))
                .collect()
        });
        let Some(stacks) = stacks else { return Ok(false) };
        for stack in stacks {
            if is_used(stack.bind(py))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(crate) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Some(all) = &self.0 else { return Ok(()) };
        all.visit(visit, |all| all.iter().try_for_each(|entered| visit.call(&entered.object)))
    }

    /// Take all of this lifetime as a list of `(object, kind)`, in the order of their entry.
    pub(crate) fn drain<'py>(&self, py: Python<'py>, lifetime: Lifetime) -> PyResult<Bound<'py, PyList>> {
        let mut taken = Vec::new();
        while let Some(entered) = self.pop(py, lifetime) {
            taken.push((entered.object, entered.kind.word()));
        }
        taken.reverse();
        PyList::new(py, taken)
    }
}

/// Whether anything may have been entered in an `AsyncExitStack`: it may where that is not seen.
pub(crate) fn is_used(stack: &Bound<'_, PyAny>) -> PyResult<bool> {
    stack.getattr_opt(intern!(stack.py(), "_exit_callbacks"))?.map_or(Ok(true), |entered| entered.is_truthy())
}

/// What comes out of a synchronous generator by way of the async one that FastAPI has around it: its own end may not be raised.
///
/// Source: FastAPI behaviour, `concurrency.contextmanager_in_threadpool`.
pub(crate) fn inside_async_generator(py: Python<'_>, error: PyErr) -> PyErr {
    if !error.is_instance_of::<PyStopAsyncIteration>(py) {
        return error;
    }
    let converted = PyErr::from(Error::StopRaised);
    converted.set_cause(py, Some(error.clone_ref(py)));
    match raised_while_handling(&converted, error.value(py)) {
        Ok(()) => converted,
        Err(failure) => failure,
    }
}

/// The end of a synchronous generator: a callable for a worker thread.
#[pyclass(frozen, module = "ferroapi._core")]
pub(crate) struct GeneratorEnd {
    pub(crate) generator: Py<PyAny>,
}

#[pymethods]
impl GeneratorEnd {
    /// Run the generator to its end; whether it stopped there is told by the result.
    fn __call__(&self, py: Python<'_>) -> PyResult<bool> {
        guarded(|| self.close(py))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.generator)
    }
}

impl GeneratorEnd {
    fn close(&self, py: Python<'_>) -> PyResult<bool> {
        match self.generator.call_method0(py, intern!(py, "__next__")) {
            Ok(_) => Ok(false),
            Err(stop) if stop.is_instance_of::<PyStopIteration>(py) => Ok(true),
            Err(error) => Err(inside_async_generator(py, error)),
        }
    }
}
