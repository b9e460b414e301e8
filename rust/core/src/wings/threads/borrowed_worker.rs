//! A call handed to a worker thread that is borrowed of `AnyIO`, and waited for in place where it is known to be short.

use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::{PyException, PyRuntimeError, PyStopIteration};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::names;
use super::thread_call::{CallState, Report, ThreadCall};
use super::work_queue::{Item, Job, WorkQueue};
use crate::worker_thread::{Called, Limiter, ShortCalls};

/// How long the event loop's thread waits in place at most, for a call that used to be short: never more than it can win.
const PATIENCE: Duration = Duration::from_micros(100);

/// Call `callable` in a worker thread, as `anyio.to_thread.run_sync` would.
///
/// # Errors
/// Whatever the call raises, if it was waited for in place.
pub(super) fn call(callable: &Bound<'_, PyAny>, limiter: Limiter, short_calls: &ShortCalls) -> PyResult<Called> {
    let py = callable.py();
    let is_limited = limiter == Limiter::Shared;
    let worker = names::borrow_worker(py)?.call1((is_limited,))?;
    if worker.is_none() {
        return Ok(Called::Awaiting(names::run_sync(py)?.call1((callable, is_limited))?.unbind()));
    }
    let outcome = match hand_over(&worker, callable, short_calls) {
        Ok(Handed::UnderWay(future)) => return waiting(&worker, &future).map(Called::Awaiting),
        Ok(Handed::Done(Err(error))) if !error.is_instance_of::<PyException>(py) => return escaped(&worker, error),
        Ok(Handed::Done(outcome)) => outcome,
        Err(error) => Err(error),
    };
    // Nothing is under way, whether it is over or could not begin.
    names::return_worker(py)?.call1((worker,))?;
    match outcome {
        Err(error) if error.is_instance_of::<PyStopIteration>(py) => Err(stopped(py, error)),
        outcome => outcome.map(Called::Returned),
    }
}

/// What has become of a call that a thread was given.
enum Handed<'py> {
    /// It is over.
    Done(PyResult<Py<PyAny>>),
    /// Its result is that of this future, and the thread makes itself available again.
    UnderWay(Bound<'py, PyAny>),
}

/// Give the thread its call.
///
/// # Errors
/// The event loop cannot be told of the call: the thread was not given it, or has ended it.
fn hand_over<'py>(
    worker: &Bound<'py, PyAny>,
    callable: &Bound<'py, PyAny>,
    short_calls: &ShortCalls,
) -> PyResult<Handed<'py>> {
    let py = worker.py();
    let parts = worker.cast::<PyTuple>()?;
    let queue = parts.get_item(0)?.cast_into::<WorkQueue>()?;
    let (context, scope) = (parts.get_item(1)?.unbind(), parts.get_item(2)?.unbind());
    let (state, future) = if short_calls.is_short() {
        (CallState::Watched, None)
    } else {
        let (report, future) = report(worker)?;
        (CallState::Awaited(report), Some(future))
    };
    let call = Arc::new(ThreadCall::new(state));
    let job = Job {
        context,
        callable: callable.clone().unbind(),
        scope,
        call: Arc::clone(&call),
        short_calls: short_calls.clone(),
    };
    let queue = queue.get();
    if let Some(future) = future {
        queue.put(Item::Job(job));
        return Ok(Handed::UnderWay(future));
    }
    // The thread that is woken needs the interpreter's lock, so it is given up before.
    py.detach(|| {
        queue.put(Item::Job(job));
        call.watch(PATIENCE);
    });
    if call.is_watched() {
        short_calls.note_long();
        match report(worker) {
            Ok((report, future)) => {
                if call.report_to(report) {
                    return Ok(Handed::UnderWay(future));
                }
            }
            Err(error) => {
                py.detach(|| call.watch_to_end());
                // The thread may be the last to let go of it, without the interpreter's lock.
                drop(call.take_outcome());
                return Err(error);
            }
        }
    }
    Ok(Handed::Done(call.take_outcome()))
}

/// The way to tell the event loop, and the future that is settled there.
fn report<'py>(worker: &Bound<'py, PyAny>) -> PyResult<(Report, Bound<'py, PyAny>)> {
    let py = worker.py();
    let (schedule, settle, future): (Py<PyAny>, Py<PyAny>, Bound<'py, PyAny>) =
        names::worker_report(py)?.call1((worker,))?.extract()?;
    Ok((Report { schedule, settle, future: future.clone().unbind() }, future))
}

fn waiting(worker: &Bound<'_, PyAny>, future: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    Ok(names::await_worker(worker.py())?.call1((worker, future))?.unbind())
}

/// Raise what is no `Exception` where the event loop wakes the task, as `AnyIO` does: what awaits is closed by `GeneratorExit`
/// there, and the loop is ended by `KeyboardInterrupt`.
#[cold]
fn escaped(worker: &Bound<'_, PyAny>, error: PyErr) -> PyResult<Called> {
    let py = worker.py();
    let sent = report(worker).and_then(|(report, future)| report.send(py, Err(error)).map(|()| future));
    match sent {
        Ok(future) => waiting(worker, &future).map(Called::Awaiting),
        Err(failure) => {
            names::return_worker(py)?.call1((worker,))?;
            Err(failure)
        }
    }
}

/// What a future makes of `StopIteration`, which cannot be raised out of a coroutine.
#[cold]
fn stopped(py: Python<'_>, error: PyErr) -> PyErr {
    let converted = PyRuntimeError::new_err("coroutine raised StopIteration");
    converted.set_cause(py, Some(error));
    converted
}
