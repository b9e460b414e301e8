//! Which task an event loop runs: what `asyncio.current_task` says while one is stepped by hand.

use pyo3::prelude::*;
#[cfg(not(Py_3_12))]
use pyo3::types::PyDict;

use super::names as wing_names;
use crate::names;

/// The task that runs, if one does.
///
/// # Errors
/// Those of hashing the loop.
pub(super) fn of<'py>(event_loop: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let task = wing_names::running_task(event_loop.py())?.call1((event_loop,))?;
    Ok((!task.is_none()).then_some(task))
}

/// Let another task be the one that runs, or none; return the one before.
///
/// Measured with Python 3.11: to leave one task and enter another by asyncio's functions takes 500 instructions more.
///
/// # Errors
/// Those of hashing the loop; `RuntimeError` where asyncio's own functions do it.
#[cfg(not(Py_3_12))]
pub(super) fn replace<'py>(
    event_loop: &Bound<'py, PyAny>,
    task: Option<&Bound<'py, PyAny>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let running = names::current_tasks(event_loop.py())?.cast_exact::<PyDict>()?;
    let before = running.get_item(event_loop)?;
    match task {
        Some(task) => running.set_item(event_loop, task)?,
        None if before.is_some() => running.del_item(event_loop)?,
        None => {}
    }
    Ok(before)
}

#[cfg(Py_3_12)]
pub(super) fn replace<'py>(
    event_loop: &Bound<'py, PyAny>,
    task: Option<&Bound<'py, PyAny>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = event_loop.py();
    let before = of(event_loop)?;
    names::leave_task(py)?.call1((event_loop, &before))?;
    names::enter_task(py)?.call1((event_loop, task))?;
    Ok(before)
}
