//! A call in a worker thread: handed over here, and waited for in place where it is known to be short.
//!
//! The threads are `AnyIO`'s own (`ferroapi._request.anyio_pool`); only the queue that each of them reads is this one.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::error::Error;
use crate::names;

/// A call that takes longer is waited for by way of the event loop, which costs about this much.
const SHORT: Duration = Duration::from_micros(50);

/// How long the event loop's thread waits in place at most, for a call that used to be short: never more than it can win.
const PATIENCE: Duration = Duration::from_micros(100);

/// How many short calls in a row make the next one likely to be short.
const STREAK: u8 = 3;

/// How many calls in a row were short: whether it pays to wait in place for the next one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pace(Arc<AtomicU8>);

impl Pace {
    fn is_short(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= STREAK
    }

    fn note(&self, taken: Duration) {
        let streak = self.0.load(Ordering::Relaxed);
        let streak = if taken > SHORT { 0 } else { streak.saturating_add(1).min(STREAK) };
        self.0.store(streak, Ordering::Relaxed);
    }

    fn note_long(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// What a call in a worker thread came to.
pub(crate) enum Called {
    /// It has returned.
    Returned(Py<PyAny>),
    /// It is under way: its result is that of this awaitable.
    Awaiting(Py<PyAny>),
}

/// How a call stands to `AnyIO`'s limiter and to cancellation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Terms {
    /// It takes one of the default limiter's tokens, and is not begun for a request that is cancelled already.
    Limited,
    /// It takes none, and is run whatever happens to the request.
    Unlimited,
}

/// Who waits for a call.
enum Flight {
    /// The event loop's thread, in place.
    Watched,
    /// A task, by way of the event loop.
    Awaited(Report),
    /// It is over, and this is the outcome.
    Landed(PyResult<Py<PyAny>>),
    /// The outcome has been taken.
    Left,
}

/// Where a worker thread tells the event loop the outcome of a call.
struct Report {
    /// `loop.call_soon_threadsafe`.
    schedule: Py<PyAny>,
    /// The worker's `_report_result`, which makes it available again and settles the future.
    settle: Py<PyAny>,
    future: Py<PyAny>,
}

/// One call, as the two threads share it.
struct Ticket {
    flight: Mutex<Flight>,
    landed: Condvar,
}

impl Ticket {
    fn lock(&self) -> MutexGuard<'_, Flight> {
        self.flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Put down the outcome for a thread that watches; it comes back with the report that a task needs instead.
    fn land(&self, outcome: PyResult<Py<PyAny>>) -> Option<(Report, PyResult<Py<PyAny>>)> {
        let mut flight = self.lock();
        if let Flight::Awaited(report) = std::mem::replace(&mut *flight, Flight::Left) {
            return Some((report, outcome));
        }
        *flight = Flight::Landed(outcome);
        None
    }

    /// Wait in place; without the interpreter's lock.
    fn watch(&self) {
        let waiting = |flight: &mut Flight| matches!(flight, Flight::Watched);
        drop(self.landed.wait_timeout_while(self.lock(), PATIENCE, waiting));
    }
}

/// A call that waits for its thread.
struct Job {
    context: Py<PyAny>,
    callable: Py<PyAny>,
    /// The cancel scope that `anyio.from_thread` finds.
    scope: Py<PyAny>,
    ticket: Arc<Ticket>,
    pace: Pace,
}

enum Item {
    Job(Job),
    /// What `AnyIO` put there.
    Foreign(Py<PyAny>),
}

/// What a worker thread reads instead of a `queue.Queue`: the engine's calls are run inside `get`, all else comes out.
#[pyclass(frozen, module = "ferroapi._core")]
pub(crate) struct WorkQueue {
    locals: Py<PyAny>,
    items: Mutex<VecDeque<Item>>,
    filled: Condvar,
}

impl WorkQueue {
    fn put(&self, item: Item) {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).push_back(item);
        self.filled.notify_one();
    }

    fn take(&self) -> Item {
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match items.pop_front() {
                Some(item) => return item,
                None => items = self.filled.wait(items).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Run a call, and tell its outcome; the ticket comes back if a thread watches it.
    fn run(&self, py: Python<'_>, job: Job) -> PyResult<Option<Arc<Ticket>>> {
        let Job { context, callable, scope, ticket, pace } = job;
        let locals = self.locals.bind(py);
        locals.setattr(intern!(py, "current_cancel_scope"), scope)?;
        let start = Instant::now();
        let outcome = context.call_method1(py, intern!(py, "run"), (callable,));
        pace.note(start.elapsed());
        drop(context);
        locals.delattr(intern!(py, "current_cancel_scope"))?;
        match ticket.land(outcome) {
            None => Ok(Some(ticket)),
            Some((report, outcome)) => report.send(py, outcome).map(|()| None),
        }
    }
}

impl Report {
    fn send(&self, py: Python<'_>, outcome: PyResult<Py<PyAny>>) -> PyResult<()> {
        let (result, error) = match outcome {
            Ok(result) => (result, py.None()),
            Err(error) => (py.None(), error.into_value(py).into_any()),
        };
        match self.schedule.call1(py, (&self.settle, &self.future, result, error)) {
            // Nobody is left to be told.
            Err(error) if error.is_instance_of::<PyRuntimeError>(py) && self.is_loop_closed(py)? => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    fn is_loop_closed(&self, py: Python<'_>) -> PyResult<bool> {
        let event_loop = self.future.call_method0(py, intern!(py, "get_loop"))?;
        event_loop.call_method0(py, intern!(py, "is_closed"))?.is_truthy(py)
    }
}

#[pymethods]
impl WorkQueue {
    /// `locals` is where `AnyIO` keeps what belongs to a worker thread.
    #[new]
    fn new(locals: Py<PyAny>) -> Self {
        Self { locals, items: Mutex::default(), filled: Condvar::new() }
    }

    fn put_nowait(&self, item: Py<PyAny>) {
        self.put(Item::Foreign(item));
    }

    /// Run the engine's calls until there is another item, which is returned.
    fn get(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let mut watched: Option<Arc<Ticket>> = None;
        loop {
            let item = py.detach(|| {
                // Told only now: the thread that wakes up needs the interpreter's lock at once.
                if let Some(ticket) = watched.take() {
                    ticket.landed.notify_one();
                }
                self.take()
            });
            match item {
                Item::Foreign(item) => return Ok(item),
                Item::Job(job) => watched = self.run(py, job)?,
            }
        }
    }

    #[expect(clippy::unused_self, reason = "a method of queue.Queue, which AnyIO calls")]
    fn task_done(&self) {}
}

/// Call `callable` in a worker thread, as `anyio.to_thread.run_sync` would.
///
/// # Errors
/// Whatever the call raises, if it was waited for in place.
pub(crate) fn call(py: Python<'_>, callable: Bound<'_, PyAny>, terms: Terms, pace: &Pace) -> PyResult<Called> {
    let is_limited = terms == Terms::Limited;
    let loan = names::borrow_thread(py)?.call1((is_limited,))?;
    if loan.is_none() {
        return Ok(Called::Awaiting(names::run_sync(py)?.call1((callable, is_limited))?.unbind()));
    }
    let parts = loan.cast::<PyTuple>()?;
    let queue = parts.get_item(0)?.cast_into::<WorkQueue>()?;
    let (context, scope) = (parts.get_item(1)?.unbind(), parts.get_item(2)?.unbind());
    let is_short = pace.is_short();
    let (flight, future) = if is_short {
        (Flight::Watched, None)
    } else {
        let (report, future) = report(&loan)?;
        (Flight::Awaited(report), Some(future))
    };
    let ticket = Arc::new(Ticket { flight: Mutex::new(flight), landed: Condvar::new() });
    let job = Job { context, callable: callable.unbind(), scope, ticket: Arc::clone(&ticket), pace: pace.clone() };
    let queue = queue.get();
    if let Some(future) = future {
        queue.put(Item::Job(job));
        return waiting(&loan, &future).map(Called::Awaiting);
    }
    // The thread that is woken needs the interpreter's lock, so it is given up before.
    py.detach(|| {
        queue.put(Item::Job(job));
        ticket.watch();
    });
    if matches!(*ticket.lock(), Flight::Watched) {
        pace.note_long();
        let (report, future) = report(&loan)?;
        let mut flight = ticket.lock();
        if matches!(*flight, Flight::Watched) {
            *flight = Flight::Awaited(report);
            drop(flight);
            return waiting(&loan, &future).map(Called::Awaiting);
        }
    }
    let landed = std::mem::replace(&mut *ticket.lock(), Flight::Left);
    names::return_thread(py)?.call1((loan,))?;
    match landed {
        Flight::Landed(Err(error)) if error.is_instance_of::<PyStopIteration>(py) => Err(stopped(py, error)),
        Flight::Landed(outcome) => outcome.map(Called::Returned),
        _ => Err(Error::Resumed.into()),
    }
}

/// The way to tell the event loop, and the future that is settled there.
fn report<'py>(loan: &Bound<'py, PyAny>) -> PyResult<(Report, Bound<'py, PyAny>)> {
    let py = loan.py();
    let (schedule, settle, future): (Py<PyAny>, Py<PyAny>, Bound<'py, PyAny>) =
        names::thread_report(py)?.call1((loan,))?.extract()?;
    Ok((Report { schedule, settle, future: future.clone().unbind() }, future))
}

fn waiting(loan: &Bound<'_, PyAny>, future: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    Ok(names::await_thread(loan.py())?.call1((loan, future))?.unbind())
}

/// What a future makes of `StopIteration`, which cannot be raised out of a coroutine.
#[cold]
fn stopped(py: Python<'_>, error: PyErr) -> PyErr {
    let converted = PyRuntimeError::new_err("coroutine raised StopIteration");
    converted.set_cause(py, Some(error));
    converted
}
