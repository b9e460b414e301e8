//! The errors that this crate itself detects, and their one conversion to Python exceptions: panics are among them.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::exceptions::{PyRuntimeError, PySystemError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;

/// What can be wrong with what Python hands to the engine.
#[derive(Debug)]
pub(crate) enum Error {
    /// A dependency with `yield` gave an object of this class, which is no iterator, or no async one.
    Iterator { class: String, kind: &'static str },
    /// A response whose status is no HTTP status.
    Status { status: String },
    /// A response header, named `name`, with a control byte in its name or value.
    Header { name: String },
    /// The driver was resumed in a state in which nothing awaits.
    Resumed,
    /// What is awaited was resumed by itself.
    Running,
    /// What is awaited was closed, and suspended then.
    Ignored,
    /// A generator that stands for an async one raised what would end that.
    StopRaised,
    /// A call was prepared with more names than arguments.
    Names { names: usize, arguments: usize },
    /// A bug of this crate.
    Panic { message: String },
    /// A plan or a table was made before the names that the engine stands for were watched.
    Unwatched,
}

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        match error {
            Error::Iterator { class, kind } => PyTypeError::new_err(format!("'{class}' object is not {kind}")),
            Error::Status { status } => PyRuntimeError::new_err(format!("the response has no HTTP status: {status}")),
            Error::Header { name } => {
                PyRuntimeError::new_err(format!("the response has a control byte in its header {name:?}"))
            }
            Error::Unwatched => PyRuntimeError::new_err("ferroapi has not been imported to its end"),
            Error::Resumed => PyRuntimeError::new_err("cannot reuse an already awaited request"),
            Error::Running => PyValueError::new_err("coroutine already executing"),
            Error::Ignored => PyRuntimeError::new_err("coroutine ignored GeneratorExit"),
            Error::StopRaised => PyRuntimeError::new_err("async generator raised StopAsyncIteration"),
            Error::Names { names, arguments } => {
                PySystemError::new_err(format!("{names} keyword names for {arguments} arguments"))
            }
            Error::Panic { message } => PyRuntimeError::new_err(format!("ferroapi failed: {message}")),
        }
    }
}

/// Run something that Python has called: a panic becomes an exception, which handlers and middleware see.
///
/// `PyO3` would make a `BaseException` of it. What is run must leave nothing half changed that is used again.
///
/// # Errors
/// What is run returns, or `RuntimeError`.
#[inline]
pub(crate) fn guarded<T>(run: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    caught(run)?
}

/// The same, with the exception of a panic apart from those that what is run returns.
#[inline]
pub(crate) fn caught<T>(run: impl FnOnce() -> T) -> PyResult<T> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|payload| panicked(payload.as_ref()))
}

#[cold]
#[inline(never)]
fn panicked(payload: &(dyn Any + Send)) -> PyErr {
    let message = payload.downcast_ref::<&str>().map(ToString::to_string);
    let message = message.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
    Error::Panic { message }.into()
}

/// Say of an exception that it was raised while another one was handled, as `raise` does.
pub(crate) fn raised_while_handling(raised: &PyErr, handled: &Bound<'_, PyAny>) -> PyResult<()> {
    let context = intern!(handled.py(), "__context__");
    let raised = raised.value(handled.py());
    if raised.getattr(context)?.is_none() && !raised.is(handled) {
        raised.setattr(context, handled)?;
    }
    Ok(())
}
