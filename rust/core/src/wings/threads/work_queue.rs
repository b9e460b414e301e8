//! The queue that a worker thread of `AnyIO` reads: the engine's calls are run inside it.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use super::thread_call::{CallState, Report, ThreadCall};
use crate::error::guarded;
use crate::worker_thread::ShortCalls;

/// A call that waits for its thread.
pub(super) struct Job {
    pub(super) context: Py<PyAny>,
    pub(super) callable: Py<PyAny>,
    /// The cancel scope that `anyio.from_thread` finds.
    pub(super) scope: Py<PyAny>,
    pub(super) call: Arc<ThreadCall>,
    pub(super) short_calls: ShortCalls,
}

impl Job {
    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.context)?;
        visit.call(&self.callable)?;
        visit.call(&self.scope)?;
        match self.call.state.try_lock().as_deref() {
            Ok(CallState::Awaited(Report { schedule, settle, future })) => {
                [schedule, settle, future].into_iter().try_for_each(|object| visit.call(object))
            }
            _ => Ok(()),
        }
    }
}

pub(super) enum Item {
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
    /// What describes the thread after each of the engine's calls; tests want to know what a call has left in it.
    describe: OnceLock<Py<PyAny>>,
    /// The description after the last call; none where another item came after it.
    description: Mutex<Option<Py<PyAny>>>,
}

impl WorkQueue {
    pub(super) fn put(&self, item: Item) {
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

    fn describe_as(&self, description: Option<Py<PyAny>>) {
        let mut kept = self.description.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *kept, description);
        drop(kept);
        drop(before);
    }

    /// Run a call, and tell its outcome; the call comes back if a thread watches it.
    fn run(&self, py: Python<'_>, job: Job) -> PyResult<Option<Arc<ThreadCall>>> {
        let Job { context, callable, scope, call, short_calls } = job;
        let (locals, name) = (self.locals.bind(py), intern!(py, "current_cancel_scope"));
        let start = Instant::now();
        let mut outcome = guarded(|| {
            locals.setattr(name, scope)?;
            context.call_method1(py, intern!(py, "run"), (callable,))
        });
        short_calls.note(start.elapsed());
        drop(context);
        // Whatever fails, the one who waits is told.
        if let Err(error) = locals.delattr(name) {
            outcome = outcome.and(Err(error));
        }
        if let Some(describe) = self.describe.get() {
            // The last that runs in the thread before the one who waits is told: the call's objects are gone.
            match describe.call0(py) {
                Ok(description) => self.describe_as(Some(description)),
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        match call.finish(outcome) {
            None => Ok(Some(call)),
            Some((report, outcome)) => report.send(py, outcome).map(|()| None),
        }
    }
}

#[pymethods]
impl WorkQueue {
    /// `locals` is where `AnyIO` keeps what belongs to a worker thread.
    #[new]
    fn new(locals: Py<PyAny>) -> Self {
        Self {
            locals,
            items: Mutex::default(),
            filled: Condvar::new(),
            describe: OnceLock::new(),
            description: Mutex::default(),
        }
    }

    /// Let `describe` be called in the thread after each of the engine's calls from now on.
    fn describe_after_calls(&self, describe: Py<PyAny>) {
        // One that is there already stays.
        drop(self.describe.set(describe));
    }

    /// What the thread was described as after its last call, None where something else has run in it since.
    #[getter]
    fn description(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let kept = self.description.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().map(|description| description.clone_ref(py))
    }

    fn put_nowait(&self, item: Py<PyAny>) {
        self.put(Item::Foreign(item));
    }

    /// Run the engine's calls until there is another item, which is returned.
    fn get(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        guarded(|| {
            let mut watched: Option<Arc<ThreadCall>> = None;
            loop {
                let item = py.detach(|| {
                    // Told only now: the thread that wakes up needs the interpreter's lock at once.
                    if let Some(call) = watched.take() {
                        call.done.notify_one();
                    }
                    self.take()
                });
                match item {
                    Item::Foreign(item) => {
                        self.describe_as(None);
                        return Ok(item);
                    }
                    Item::Job(job) => watched = self.run(py, job)?,
                }
            }
        })
    }

    /// Make a call in the thread that reads from here, which is idle, and wait for it.
    fn call(&self, py: Python<'_>, context: Py<PyAny>, callable: Py<PyAny>) -> PyResult<Py<PyAny>> {
        guarded(|| {
            let call = Arc::new(ThreadCall::new(CallState::Watched));
            let short_calls = ShortCalls::default();
            let job = Job { context, callable, scope: py.None(), call: Arc::clone(&call), short_calls };
            py.detach(|| {
                self.put(Item::Job(job));
                call.watch_to_end();
            });
            call.take_outcome()
        })
    }

    #[expect(clippy::unused_self, reason = "a method of queue.Queue, which AnyIO calls")]
    fn task_done(&self) {}

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.locals)?;
        visit.call(self.describe.get())?;
        if let Ok(description) = self.description.try_lock() {
            visit.call(&*description)?;
        }
        // Nobody holds a lock while Python runs: one that is held is another thread's, which may be stopped meanwhile.
        let Ok(items) = self.items.try_lock() else { return Ok(()) };
        items.iter().try_for_each(|item| match item {
            Item::Foreign(item) => visit.call(item),
            Item::Job(job) => job.visit(&visit),
        })
    }
}
