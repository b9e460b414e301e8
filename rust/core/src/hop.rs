//! One hop to a worker thread: a run of consecutive plain callables, and the validation of what the endpoint returned.

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use crate::answer::{Received, receive_in_thread};
use crate::error::{Error, guarded};
use crate::locked::Locked;
use crate::plan::Plan;
use crate::solve::{Need, Place, Solver};

/// What came of a hop.
pub(crate) enum Landed {
    /// The graph goes on, or ends, on the event loop.
    Need(Need),
    /// What the endpoint returned, and what the response model made of it.
    Received(Py<PyAny>, Received),
}

struct Work {
    solver: Box<Solver>,
    landed: Option<Landed>,
}

/// The callable that `AnyIO` runs in a worker thread.
///
/// It owns the solver while it runs, so a request that is cancelled meanwhile shares nothing with it.
#[pyclass(frozen, module = "ferroapi._core")]
pub(crate) struct Hop {
    plan: Py<Plan>,
    work: Locked<Option<Work>>,
    is_abandoned: AtomicBool,
}

impl Hop {
    pub(crate) fn new(plan: Py<Plan>, solver: Box<Solver>) -> Self {
        Self { plan, work: Locked::new(Some(Work { solver, landed: None })), is_abandoned: AtomicBool::new(false) }
    }

    fn take(&self) -> Option<Work> {
        self.work.with(Option::take)
    }

    /// The request has failed: nothing more is called for it.
    pub(crate) fn abandon(&self) {
        self.is_abandoned.store(true, Ordering::Release);
    }

    /// The solver, and what came of the hop.
    pub(crate) fn land(&self) -> PyResult<(Box<Solver>, Landed)> {
        match self.take() {
            Some(Work { solver, landed: Some(landed) }) => Ok((solver, landed)),
            _ => Err(Error::Resumed.into()),
        }
    }

    /// Run the solver, and validate what the endpoint returned if that is done in a worker thread.
    fn run(&self, py: Python<'_>, solver: &mut Solver) -> PyResult<Landed> {
        let need = solver.run(py, Place::Thread { is_abandoned: &self.is_abandoned })?;
        if let (Need::Result(result), None) = (&need, &solver.observer) {
            if let Some(received) = receive_in_thread(py, self.plan.get(), solver, result)? {
                return Ok(Landed::Received(result.clone_ref(py), received));
            }
        }
        Ok(Landed::Need(need))
    }
}

#[pymethods]
impl Hop {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        let Some(mut work) = self.take() else { return Err(Error::Resumed.into()) };
        let landed = guarded(|| self.run(py, &mut work.solver));
        let (landed, outcome) = match landed {
            Ok(landed) => (Some(landed), Ok(())),
            Err(error) => (None, Err(error)),
        };
        work.landed = landed;
        // Also after an exception: what the request holds is given up on the event loop.
        drop(self.work.replace(Some(work)));
        outcome
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.plan)?;
        self.work.visit(|work| {
            let Some(Work { solver, landed }) = work else { return Ok(()) };
            solver.visit(&visit)?;
            match landed {
                Some(Landed::Received(result, received)) => {
                    visit.call(result)?;
                    received.visit(&visit)
                }
                Some(Landed::Need(Need::Await(object) | Need::Result(object))) => visit.call(object),
                Some(Landed::Need(_)) | None => Ok(()),
            }
        })
    }
}
