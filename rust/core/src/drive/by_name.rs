//! What Python calls of a request, because somebody has replaced a name by which FastAPI calls it: the route, or the
//! dependencies and the endpoint.
//!
//! What comes before and after is done as for any other.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use super::{Driver, Stage};
use crate::awaitable::Next;
use crate::connection::Channels;
use crate::entry::Selection;
use crate::error::Error;
use crate::plan::Plan;
use crate::solve::{Connection, Solver};
use crate::teardown::{Entered, EnteredKind, Lifetime, Teardown};
use crate::{ffi, names, observer};

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
        if may_be_observed {
            observer::select(&scope, entry.get().telemetry_path.as_ref())?;
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

    /// Solve the dependencies by the name that FastAPI calls; where somebody records the request, Python does all of it.
    #[cold]
    pub(super) fn take_steps(&mut self, py: Python<'_>) -> PyResult<Next> {
        let (plan, is_observed) = (self.plan(py)?, self.observer.is_some());
        let operation = plan.get().operation.bind(py);
        let solver = self.solver()?;
        let (request, body) = (solver.connection.request(py)?, solver.received_body(py)?);
        let scope = request.getattr(py, intern!(py, "scope"))?.into_bound(py);
        let stack = match scope.cast_exact::<PyDict>() {
            Ok(scope) if !is_observed => scope.get_item(intern!(py, "fastapi_inner_astack"))?,
            _ => None,
        };
        let exit_stack = names::exit_stack(py)?;
        let Some(stack) = stack.filter(|stack| stack.get_type().is(exit_stack)) else {
            self.stage = Stage::Solving;
            return Ok(Next::Await(names::take_steps(py)?.call1((operation, request, body))?.unbind()));
        };
        stack.setattr(intern!(py, "find_plan"), operation.getattr(intern!(py, "solving_plan"))?)?;
        let arguments = [
            request,
            operation.getattr(intern!(py, "dependant"))?.unbind(),
            body,
            operation.getattr(intern!(py, "dependency_overrides_provider"))?.unbind(),
            stack.unbind(),
            operation.getattr(intern!(py, "embed_body_fields"))?.unbind(),
        ];
        let keywords = PyTuple::new(
            py,
            [
                intern!(py, "request"),
                intern!(py, "dependant"),
                intern!(py, "body"),
                intern!(py, "dependency_overrides_provider"),
                intern!(py, "async_exit_stack"),
                intern!(py, "embed_body_fields"),
            ],
        )?;
        self.stage = Stage::SolvingByName;
        called(py, intern!(py, "solve_dependencies"), &arguments, &keywords)
    }

    /// They are solved: call the endpoint by the name that FastAPI calls.
    #[cold]
    pub(super) fn solved_by_name(&mut self, outcome: &Bound<'_, PyAny>) -> PyResult<Next> {
        let py = outcome.py();
        let plan = self.plan(py)?;
        let operation = plan.get().operation.bind(py);
        let has_errors = outcome.getattr(intern!(py, "errors"))?.is_truthy()?;
        let dependant = operation.getattr(intern!(py, "dependant"))?;
        let call = dependant.getattr(intern!(py, "call"))?;
        let is_as_compiled = plan.get().nodes.last().is_some_and(|endpoint| endpoint.call.bind(py).is(&call));
        if has_errors || !is_as_compiled {
            let solver = self.solver()?;
            let (request, body) = (solver.connection.request(py)?, solver.received_body(py)?);
            self.stage = Stage::Solving;
            let steps = names::take_last_steps(py)?.call1((operation, request, body, outcome))?;
            return Ok(Next::Await(steps.unbind()));
        }
        let arguments = [
            dependant.unbind(),
            outcome.getattr(intern!(py, "values"))?.unbind(),
            operation.getattr(intern!(py, "is_coroutine"))?.unbind(),
        ];
        let keywords =
            PyTuple::new(py, [intern!(py, "dependant"), intern!(py, "values"), intern!(py, "is_coroutine")])?;
        self.solved = Some(outcome.clone().unbind());
        self.stage = Stage::CallingByName;
        called(py, intern!(py, "run_endpoint_function"), &arguments, &keywords)
    }

    /// Here is what the endpoint returned.
    #[cold]
    pub(super) fn called_by_name(&mut self, result: &Bound<'_, PyAny>) -> PyResult<Next> {
        let py = result.py();
        let Some(solved) = self.solved.take() else { return Err(Error::Resumed.into()) };
        let background = solved.getattr(py, intern!(py, "background_tasks"))?;
        let response = solved.getattr(py, intern!(py, "response"))?;
        self.take_solved(response, (!background.is_none(py)).then_some(background))?;
        self.render(result, None)
    }

    /// Python has taken all steps: here is what the endpoint returned, with the shared response and the background tasks.
    #[cold]
    pub(super) fn steps_taken(&mut self, value: &Bound<'_, PyAny>) -> PyResult<Next> {
        let (result, response, background): (Bound<'_, PyAny>, Py<PyAny>, Option<Py<PyAny>>) = value.extract()?;
        self.take_solved(response, background)?;
        self.render(&result, None)
    }

    fn take_solved(&mut self, response: Py<PyAny>, background: Option<Py<PyAny>>) -> PyResult<()> {
        let solver = self.solver()?;
        (solver.response, solver.background) = (Some(response), background);
        Ok(())
    }
}

/// What comes of a call of a function of `routing`, with all arguments by name.
fn called(
    py: Python<'_>,
    name: &Bound<'_, PyString>,
    arguments: &[Py<PyAny>],
    keywords: &Bound<'_, PyTuple>,
) -> PyResult<Next> {
    let function = names::reference_handler(py)?.getattr(name)?;
    Ok(Next::Await(ffi::vectorcall(&function, arguments, Some(keywords))?.unbind()))
}
