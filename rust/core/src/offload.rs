//! What is handed to a worker thread at once: a run of consecutive plain callables, and the validation of what the endpoint returned.

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use crate::answer::{Received, receive_in_thread};
use crate::error::{Error, guarded};
use crate::ffi::locked::Locked;
use crate::plan::Plan;
use crate::solve::{Need, Place, Solver};

/// How far a worker thread has come.
pub(crate) enum Progress {
    /// The graph goes on, or ends, on the event loop.
    Need(Need),
    /// What the endpoint returned, and what the response model made of it.
    Received(Py<PyAny>, Received),
}

struct Work {
    solver: Box<Solver>,
    progress: Option<Progress>,
}

/// The callable that `AnyIO` runs in a worker thread.
///
/// It owns the solver while it runs, so a request that is cancelled meanwhile shares nothing with it.
#[pyclass(frozen, module = "ferroapi._core")]
pub(crate) struct Offloaded {
    plan: Py<Plan>,
    work: Locked<Option<Work>>,
    is_abandoned: AtomicBool,
}

impl Offloaded {
    pub(crate) fn new(plan: Py<Plan>, solver: Box<Solver>) -> Self {
        Self { plan, work: Locked::new(Some(Work { solver, progress: None })), is_abandoned: AtomicBool::new(false) }
    }

    fn take(&self, py: Python<'_>) -> Option<Work> {
        self.work.with(py, Option::take)
    }

    /// The request has failed: nothing more is called for it. The solver, if no thread has it.
    pub(crate) fn abandon(&self, py: Python<'_>) -> Option<Box<Solver>> {
        self.is_abandoned.store(true, Ordering::Release);
        self.take(py).map(|work| work.solver)
    }

    /// The solver, and how far it has come.
    pub(crate) fn take_back(&self, py: Python<'_>) -> PyResult<(Box<Solver>, Progress)> {
        match self.take(py) {
            Some(Work { solver, progress: Some(progress) }) => Ok((solver, progress)),
            _ => Err(Error::Resumed.into()),
        }
    }

    /// Run the solver, and validate what the endpoint returned if that is done in a worker thread.
    fn run(&self, py: Python<'_>, solver: &mut Solver) -> PyResult<Progress> {
        let need = solver.run(py, Place::Thread { is_abandoned: &self.is_abandoned })?;
        if let (Need::Result(result), None) = (&need, &solver.observer) {
            if let Some(received) = receive_in_thread(py, self.plan.get(), solver, result)? {
                return Ok(Progress::Received(result.clone_ref(py), received));
            }
        }
        Ok(Progress::Need(need))
    }
}

#[pymethods]
impl Offloaded {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        let Some(mut work) = self.take(py) else {
            // The request has failed before the thread had its turn.
            return if self.is_abandoned.load(Ordering::Acquire) { Ok(()) } else { Err(Error::Resumed.into()) };
        };
        let progress = guarded(|| self.run(py, &mut work.solver));
        let (progress, outcome) = match progress {
            Ok(progress) => (Some(progress), Ok(())),
            Err(error) => (None, Err(error)),
        };
        work.progress = progress;
        // Also after an exception: what the request holds is given up on the event loop.
        drop(self.work.replace(py, Some(work)));
        outcome
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.plan)?;
        self.work.visit(&visit, |work| {
            let Some(Work { solver, progress }) = work else { return Ok(()) };
            solver.visit(&visit)?;
            match progress {
                Some(Progress::Received(result, received)) => {
                    visit.call(result)?;
                    received.visit(&visit)
                }
                Some(Progress::Need(Need::Await(object) | Need::Result(object))) => visit.call(object),
                Some(Progress::Need(_)) | None => Ok(()),
            }
        })
    }
}
