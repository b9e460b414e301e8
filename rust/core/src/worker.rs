//! A call in a worker thread: handed over here, and waited for in place where it is known to be short.
//!
//! The threads are `AnyIO`'s own (`ferroapi._threads.anyio_pool`); only the queue that each of them reads is this one.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use pyo3::{PyTraverseError, PyVisit};

use crate::error::{Error, guarded};
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

    /// Wait in place, so long at most; without the interpreter's lock.
    fn watch(&self, patience: Duration) {
        let waiting = |flight: &mut Flight| matches!(flight, Flight::Watched);
        drop(self.landed.wait_timeout_while(self.lock(), patience, waiting));
    }

    /// Whether the call is under way, and nobody is to be told of its end.
    fn is_watched(&self) -> bool {
        matches!(*self.lock(), Flight::Watched)
    }

    /// Have the event loop told of the end of a call; false if it is over already.
    fn report_to(&self, report: Report) -> bool {
        let mut flight = self.lock();
        let is_under_way = matches!(*flight, Flight::Watched);
        if is_under_way {
            *flight = Flight::Awaited(report);
        }
        is_under_way
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

impl Job {
    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.context)?;
        visit.call(&self.callable)?;
        visit.call(&self.scope)?;
        match self.ticket.flight.try_lock().as_deref() {
            Ok(Flight::Awaited(Report { schedule, settle, future })) => {
                [schedule, settle, future].into_iter().try_for_each(|object| visit.call(object))
            }
            _ => Ok(()),
        }
    }
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
        let (locals, name) = (self.locals.bind(py), intern!(py, "current_cancel_scope"));
        let start = Instant::now();
        let mut outcome =
            locals.setattr(name, scope).and_then(|()| context.call_method1(py, intern!(py, "run"), (callable,)));
        pace.note(start.elapsed());
        drop(context);
        // Whatever fails, the one who waits is told.
        if let Err(error) = locals.delattr(name) {
            outcome = outcome.and(Err(error));
        }
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
        guarded(|| self.next(py))
    }

    #[expect(clippy::unused_self, reason = "a method of queue.Queue, which AnyIO calls")]
    fn task_done(&self) {}

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.locals)?;
        // Nobody holds a lock while Python runs: one that is held is another thread's, which may be stopped meanwhile.
        let Ok(items) = self.items.try_lock() else { return Ok(()) };
        items.iter().try_for_each(|item| match item {
            Item::Foreign(item) => visit.call(item),
            Item::Job(job) => job.visit(&visit),
        })
    }
}

impl WorkQueue {
    fn next(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
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
    let outcome = match hand_over(&loan, callable, pace) {
        Ok(Handed::UnderWay(future)) => return waiting(&loan, &future).map(Called::Awaiting),
        Ok(Handed::Landed(outcome)) => outcome,
        Err(error) => Err(error),
    };
    // Nothing is under way, whether it is over or could not begin.
    names::return_thread(py)?.call1((loan,))?;
    match outcome {
        Err(error) if error.is_instance_of::<PyStopIteration>(py) => Err(stopped(py, error)),
        outcome => outcome.map(Called::Returned),
    }
}

/// What has become of a call that a thread was given.
enum Handed<'py> {
    /// It is over.
    Landed(PyResult<Py<PyAny>>),
    /// Its result is that of this future, and the thread makes itself available again.
    UnderWay(Bound<'py, PyAny>),
}

/// Give the thread its call.
///
/// # Errors
/// The event loop cannot be told of the call: the thread was not given it, or has ended it.
fn hand_over<'py>(loan: &Bound<'py, PyAny>, callable: Bound<'py, PyAny>, pace: &Pace) -> PyResult<Handed<'py>> {
    let py = loan.py();
    let parts = loan.cast::<PyTuple>()?;
    let queue = parts.get_item(0)?.cast_into::<WorkQueue>()?;
    let (context, scope) = (parts.get_item(1)?.unbind(), parts.get_item(2)?.unbind());
    let (flight, future) = if pace.is_short() {
        (Flight::Watched, None)
    } else {
        let (report, future) = report(loan)?;
        (Flight::Awaited(report), Some(future))
    };
    let ticket = Arc::new(Ticket { flight: Mutex::new(flight), landed: Condvar::new() });
    let job = Job { context, callable: callable.unbind(), scope, ticket: Arc::clone(&ticket), pace: pace.clone() };
    let queue = queue.get();
    if let Some(future) = future {
        queue.put(Item::Job(job));
        return Ok(Handed::UnderWay(future));
    }
    // The thread that is woken needs the interpreter's lock, so it is given up before.
    py.detach(|| {
        queue.put(Item::Job(job));
        ticket.watch(PATIENCE);
    });
    if ticket.is_watched() {
        pace.note_long();
        match report(loan) {
            Ok((report, future)) => {
                if ticket.report_to(report) {
                    return Ok(Handed::UnderWay(future));
                }
            }
            Err(error) => {
                py.detach(|| {
                    while ticket.is_watched() {
                        ticket.watch(Duration::MAX);
                    }
                });
                // The thread may be the last to let go of it, without the interpreter's lock.
                let outcome = std::mem::replace(&mut *ticket.lock(), Flight::Left);
                drop(outcome);
                return Err(error);
            }
        }
    }
    match std::mem::replace(&mut *ticket.lock(), Flight::Left) {
        Flight::Landed(outcome) => Ok(Handed::Landed(outcome)),
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
