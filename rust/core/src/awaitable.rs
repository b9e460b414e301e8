//! What `await` does, for the awaitables that are written in Rust: iterate, resume with a value or an exception.

use pyo3::exceptions::{PyBaseException, PyStopIteration, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyType, PyTypeMethods};

use crate::ffi::{self, Sent};
use crate::names;

/// Where running an awaitable has led to.
pub(crate) enum Outcome<'py> {
    /// Something is suspended on this object.
    Yielded(Bound<'py, PyAny>),
    /// It is over, with this result.
    Returned(Py<PyAny>),
}

/// How a suspended awaitable is resumed.
pub(crate) enum Input<'py> {
    Value(Bound<'py, PyAny>),
    Error(PyErr),
}

impl Input<'_> {
    /// The exception that the arguments of `throw` mean.
    pub(crate) fn thrown(kind: Bound<'_, PyAny>, value: Option<Bound<'_, PyAny>>) -> PyResult<Self> {
        let error = match (kind.cast::<PyType>(), value) {
            (Ok(_), Some(value)) if value.is_instance_of::<PyBaseException>() => value,
            (Ok(class), Some(value)) => class.call1((value,))?,
            (Ok(class), None) => class.call0()?,
            (Err(_), _) => kind,
        };
        Ok(Self::Error(PyErr::from_value(error)))
    }
}

/// The exception object with its traceback, which `PyErr` keeps beside it.
pub(crate) fn exception(py: Python<'_>, error: &PyErr) -> Py<PyAny> {
    error.clone_ref(py).into_value(py).into_any()
}

/// What `send` and `throw` give: the object, or `StopIteration` with the result.
pub(crate) fn yielded(outcome: Outcome<'_>) -> PyResult<Bound<'_, PyAny>> {
    match outcome {
        Outcome::Yielded(object) => Ok(object),
        Outcome::Returned(value) => Err(PyStopIteration::new_err((value,))),
    }
}

/// What `await object` iterates over.
#[inline]
pub(crate) fn iterator(object: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let is_its_own =
        ffi::is_coroutine(&object) || object.get_type_ptr() == names::async_generator_step(object.py())?.as_type_ptr();
    if is_its_own { Ok(object) } else { other_iterator(&object) }
}

#[inline(never)]
fn other_iterator<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    match object.call_method0(intern!(py, "__await__")) {
        Ok(iterator) => Ok(iterator),
        Err(_) if !object.hasattr(intern!(py, "__await__"))? => {
            let name = object.get_type().name()?;
            Err(PyTypeError::new_err(format!("object {name} can't be used in 'await' expression")))
        }
        Err(error) => Err(error),
    }
}

/// Begin to await an object.
pub(crate) fn start(object: Bound<'_, PyAny>) -> PyResult<(Sent<'_>, Bound<'_, PyAny>)> {
    let py = object.py();
    let awaiting = iterator(object)?;
    Ok((ffi::send(&awaiting, py.None().bind(py))?, awaiting))
}

/// Pass a value or an exception on to what is awaited.
pub(crate) fn resume<'py>(iterator: &Bound<'py, PyAny>, input: Input<'py>) -> PyResult<Sent<'py>> {
    let py = iterator.py();
    let error = match input {
        Input::Value(value) => return ffi::send(iterator, &value),
        Input::Error(error) => error,
    };
    if !iterator.hasattr(intern!(py, "throw"))? {
        return Err(error);
    }
    match iterator.call_method1(intern!(py, "throw"), (exception(py, &error),)) {
        Ok(object) => Ok(Sent::Yielded(object)),
        Err(stop) if stop.is_instance_of::<PyStopIteration>(py) => {
            Ok(Sent::Returned(stop.value(py).getattr(intern!(py, "value"))?))
        }
        Err(error) => Err(error),
    }
}

/// Give up what is awaited, if it has a way to be told.
pub(crate) fn close(iterator: &Bound<'_, PyAny>) -> PyResult<()> {
    let name = intern!(iterator.py(), "close");
    if iterator.hasattr(name)? { iterator.call_method0(name).map(drop) } else { Ok(()) }
}
