//! Requests that are somebody else's: their `Request` is made, and the driver gives the response or what was solved; or
//! their route is selected, and it answers.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::Driver;
use crate::awaitable::Awaitable;
use crate::connection::Channels;
use crate::error::guarded;
use crate::observer::{self, Observer};
use crate::plan::{Plan, Render};
use crate::scope::Scope;
use crate::solve::{Connection, Solver};

impl Driver {
    /// A driver that gives the response object for a `Request`, or what else its plan ends with.
    fn responding(py: Python<'_>, plan: &Py<Plan>, request: &Bound<'_, PyAny>, is_observed: bool) -> PyResult<Self> {
        let mut solver = Self::solver_for(plan, request)?;
        let channels = solver.connection.channels.clone_ref(py);
        let scope = channels.scope(py)?;
        let stack =
            |name| -> PyResult<Py<PyAny>> { Ok(scope.get_item(name)?.map_or_else(|| py.None(), Bound::unbind)) };
        solver.stacks =
            Some((stack(intern!(py, "fastapi_inner_astack"))?, stack(intern!(py, "fastapi_function_astack"))?));
        let by_name = plan.get().by_name(py, 0)?.unwrap_or_default();
        solver.by_name = by_name;
        let is_solved = matches!(plan.get().answer.get().render, Render::Solved { .. });
        let is_observed = !is_solved && (is_observed || observer::is_observed(&scope)?);
        let idle = Self::idle(channels, None, false);
        let mut driver = Self { plan: Some(plan.clone_ref(py)), by_name, solver: Some(solver), ..idle };
        if is_observed {
            driver.observe(py, plan.get())?;
        }
        Ok(driver)
    }

    /// A solver for a `Request` that others have made.
    pub(super) fn solver_for(plan: &Py<Plan>, request: &Bound<'_, PyAny>) -> PyResult<Box<Solver>> {
        let py = request.py();
        let scope = match request.getattr(intern!(py, "scope"))?.cast_into_exact::<PyDict>() {
            Ok(scope) => scope,
            // It is only read from here on, and the `Request` has what is in its place.
            Err(other) => py.get_type::<PyDict>().call1((other.into_inner(),))?.cast_into()?,
        };
        let channels = Channels::Asgi { scope: scope.clone().unbind(), receive: py.None(), send: py.None() };
        let connection = Connection::new(channels, Some(request.clone().unbind()));
        Solver::new(py, plan, connection, &Scope(&scope).path_params()?)?.for_others(py)
    }
}

/// The driver that answers a scope which knows its route by the plan of that; `None` if Python must answer.
#[pyfunction]
pub(crate) fn drive(
    plan: &Bound<'_, Plan>,
    scope: &Bound<'_, PyAny>,
    receive: Py<PyAny>,
    send: Py<PyAny>,
) -> PyResult<Option<Awaitable>> {
    guarded(|| {
        let py = plan.py();
        let Ok(scope) = scope.cast_exact::<PyDict>() else { return Ok(None) };
        // FastAPI asks every scope for its path, to say where an error is; one of another type fails there. And it closes
        // the files of a form with an exit stack of the scope, which what is around the route may leave before.
        if Scope(scope).path()?.is_err() || plan.get().body.is_form() {
            return Ok(None);
        }
        let Ok(path_params) = Scope(scope).path_params()? else { return Ok(None) };
        let Some(holding) = Plan::holding(plan.as_unbound(), py, 0)? else { return Ok(None) };
        let is_observed = observer::is_observed(scope)?;
        let channels = Channels::Asgi { scope: scope.clone().unbind(), receive, send };
        Driver::native(py, holding, channels, None, path_params, is_observed).map(|driver| Some(Awaitable::of(driver)))
    })
}

/// Solve the dependencies of a plan for a `Request` whose body has been read; `observer.solved(values, errors)` is called with
/// the arguments of the endpoint, and awaiting the driver gives what else there is: response, background tasks and cache.
#[pyfunction]
pub(crate) fn solve(
    plan: &Bound<'_, Plan>,
    request: &Bound<'_, PyAny>,
    body: Bound<'_, PyAny>,
    observer: Py<PyAny>,
) -> PyResult<Awaitable> {
    guarded(|| {
        let mut driver = Driver::responding(plan.py(), plan.as_unbound(), request, false)?;
        driver.take_body(body)?;
        driver.solver()?.observer = Some(Observer(observer));
        Ok(Awaitable::new(driver))
    })
}

/// Run a plan for a `Request` whose body has been read (`PydanticUndefined` if there is none); awaiting the driver gives
/// the response object.
#[pyfunction]
#[pyo3(signature = (plan, request, body, is_observed=false))]
pub(crate) fn respond(
    py: Python<'_>,
    plan: &Bound<'_, Plan>,
    request: &Bound<'_, PyAny>,
    body: Bound<'_, PyAny>,
    is_observed: bool,
) -> PyResult<Awaitable> {
    guarded(|| {
        let mut driver = Driver::responding(py, plan.as_unbound(), request, is_observed)?;
        // Whoever has read it closes the files.
        driver.take_body(body)?;
        Ok(Awaitable::new(driver))
    })
}
