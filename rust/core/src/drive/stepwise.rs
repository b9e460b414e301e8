//! A request whose dependencies and endpoint Python calls, because somebody has replaced a name by which FastAPI calls them.
//!
//! What comes before and after is done as for any other.

use pyo3::prelude::*;

use super::{Driver, Stage};
use crate::awaitable::Next;
use crate::names;

impl Driver {
    /// Let Python solve and call, by the names that FastAPI calls.
    #[cold]
    pub(super) fn take_steps(&mut self, py: Python<'_>) -> PyResult<Next> {
        let plan = self.plan(py)?;
        let solver = self.solver()?;
        let (request, body) = (solver.connection.request(py)?, solver.received_body(py)?);
        self.stage = Stage::Solving;
        let steps = names::take_steps(py)?.call1((&plan.get().operation, request, body))?;
        Ok(Next::Await(steps.unbind()))
    }

    /// They were taken: here is what the endpoint returned, with the shared response and the background tasks.
    #[cold]
    pub(super) fn steps_taken(&mut self, value: &Bound<'_, PyAny>) -> PyResult<Next> {
        let (result, response, background): (Bound<'_, PyAny>, Py<PyAny>, Option<Py<PyAny>>) = value.extract()?;
        let solver = self.solver()?;
        (solver.response, solver.background) = (Some(response), background);
        self.render(&result, None)
    }
}
