//! What Python calls of a request, because somebody has replaced a name by which FastAPI calls it: the route, or the
//! dependencies and the endpoint.
//!
//! What comes before and after is done as for any other.

use pyo3::intern;
use pyo3::prelude::*;

use super::{Driver, Stage};
use crate::awaitable::Next;
use crate::connection::Channels;
use crate::entry::Selection;
use crate::plan::Plan;
use crate::solve::{Connection, Solver};
use crate::teardown::{Entered, EnteredKind, Lifetime, Teardown};
use crate::{names, observer};

impl Driver {
    /// The driver that calls the `handle` of the selected route, behind which is something that no plan does; none if Python
    /// must answer.
    #[cold]
    #[inline(never)]
    pub(crate) fn handling(
        py: Python<'_>,
        channels: Channels,
        selection: Selection,
        may_be_observed: bool,
    ) -> PyResult<Option<Box<Self>>> {
        let entry = selection.entry.clone_ref(py);
        let application = selection.application.as_ref().map(|application| application.clone_ref(py));
        // The limit may be that of the router, which is passed over.
        if (application.is_some() && entry.get().limit.is_some()) || channels.select(py, selection)?.is_err() {
            return Ok(None);
        }
        let scope = channels.scope(py)?;
        if may_be_observed && observer::is_observed(&scope)? {
            observer::selected(&scope, entry.get().telemetry_path.as_ref())?;
        }
        let Some(route) = scope.get_item(intern!(py, "route"))? else { return Ok(None) };
        let handle = Some(route.getattr(intern!(py, "handle"))?.unbind());
        let mut teardown = Teardown::default();
        if application.is_some() {
            teardown = Teardown::new(true);
            let object = names::open_outermost(py)?.call1((scope,))?.unbind();
            teardown.push(py, Entered { object, kind: EnteredKind::Stack, lifetime: Lifetime::Connection });
        }
        Ok(Some(Box::new(Self { teardown, handle, ..Self::idle(channels, application, true) })))
    }

    /// A solver for the `Request` that is made first.
    #[cold]
    #[inline(never)]
    pub(super) fn solver_of_made(py: Python<'_>, plan: &Py<Plan>, channels: &Channels) -> PyResult<Box<Solver>> {
        let request = Connection::new(channels.clone_ref(py), None).request(py)?;
        Self::solver_for(plan, request.bind(py))
    }

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
