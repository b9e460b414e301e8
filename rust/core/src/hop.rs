//! One hop to a worker thread: a run of consecutive plain callables, and the rendering of what the endpoint returned.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;

use crate::answer::{Answer, answer};
use crate::error::Error;
use crate::names;
use crate::plan::{Plan, Render};
use crate::solve::{Need, Place, Solver};

/// What came of a hop.
pub(crate) enum Landed {
    /// The graph goes on, or ends, on the event loop.
    Need(Need),
    /// The response is rendered already.
    Answer(Answer),
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
    native: bool,
    work: Mutex<Option<Work>>,
    is_abandoned: AtomicBool,
}

impl Hop {
    pub(crate) fn new(plan: Py<Plan>, solver: Box<Solver>, native: bool) -> Self {
        Self {
            plan,
            native,
            work: Mutex::new(Some(Work { solver, landed: None })),
            is_abandoned: AtomicBool::new(false),
        }
    }

    fn take(&self) -> Option<Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner).take()
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
}

#[pymethods]
impl Hop {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        let Some(mut work) = self.take() else { return Err(Error::Resumed.into()) };
        let landed = match work.solver.run(py, Place::Thread { is_abandoned: &self.is_abandoned })? {
            Need::Result(result) if self.plan.get().answer.render.is_native() => {
                // A response model is validated in a hop of its own under FastAPI.
                if matches!(self.plan.get().answer.render, Render::Model { .. }) {
                    names::check_cancelled(py)?.call0()?;
                }
                Landed::Answer(answer(py, &self.plan, &work.solver, &result, self.native)?)
            }
            need => Landed::Need(need),
        };
        work.landed = Some(landed);
        *self.work.lock().unwrap_or_else(PoisonError::into_inner) = Some(work);
        Ok(())
    }
}
