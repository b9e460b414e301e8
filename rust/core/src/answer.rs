//! What the endpoint returned becomes a response: bytes where the plan knows how, otherwise an object that Python makes.
//!
//! Source: FastAPI behaviour, `routing.get_request_handler` (after the endpoint) and `serialize_response`.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};
use smallvec::SmallVec;

use crate::error::Error;
use crate::plan::{Plan, Render};
use crate::respond::{Ready, carries_body, check_response};
use crate::serialize::shape::Shaped;
use crate::solve::Solver;
use crate::{ffi, names, serialize, validate};

/// How the response leaves.
pub(crate) enum Answer {
    /// As two messages with these bytes.
    Ready(Ready),
    /// By this response object, called with `scope, receive, send`.
    Object(Py<PyAny>),
    /// By the object that this awaitable makes.
    Build(Py<PyAny>),
}

/// Turn the endpoint's `result` into an answer; `native` says that bytes are wanted rather than an object.
///
/// # Errors
/// `ResponseValidationError`, and whatever serializing user objects raises.
pub(crate) fn answer(
    py: Python<'_>,
    plan: &Py<Plan>,
    solver: &Solver,
    result: &Py<PyAny>,
    native: bool,
) -> PyResult<Answer> {
    let object = result.bind(py);
    if !is_data(object) && object.is_instance(names::response(py)?)? {
        return given_response(py, solver, object, native);
    }
    let recipe = &plan.get().answer;
    let sub_response = solver.response.as_ref().map(|response| response.bind(py));
    let status = match sub_response {
        None => recipe.status,
        Some(response) => {
            let chosen = response.getattr(intern!(py, "status_code"))?;
            match chosen.extract::<Option<u16>>() {
                Ok(Some(0) | None) => recipe.status.or_else(|| (!chosen.is_none()).then_some(0)),
                Ok(status) => status,
                Err(_) => return Err(Error::Status { status: chosen.to_string() }.into()),
            }
        }
    };
    let status = status.unwrap_or(200);
    if matches!(recipe.render, Render::Response { .. }) {
        return object_answer(object, native);
    }
    if carries_body(status) {
        let added = match sub_response {
            None => None,
            Some(response) => Some(response.getattr(intern!(py, "raw_headers"))?),
        };
        let written = |body: &[u8]| -> PyResult<Answer> {
            let ready = Ready::new(py, recipe, status, body, added.as_ref())?;
            if native {
                return Ok(Answer::Ready(ready));
            }
            let is_json = matches!(recipe.render, Render::Json);
            ready.into_response(py, is_json, solver.background.as_ref()).map(Answer::Object)
        };
        match &recipe.render {
            Render::Json => return written(&serialize::encode_json(object)?),
            Render::Model { validate, to_json, options, values, shape } => {
                let shape = shape.as_ref().map(Py::get);
                let shaped = shape.map_or(Shaped::Unexpected, |shape| shape.receive(object));
                if let Shaped::Written(body) = &shaped {
                    return written(body);
                }
                let value = match validate::call_validator(validate.bind(py), result.clone_ref(py)) {
                    Ok(value) => value,
                    Err(error) => return Err(invalid(py, plan, solver, &error, result)),
                };
                if let (Shaped::Unvalidated, Some(shape)) = (shaped, shape) {
                    if let Some(body) = shape.write(&value) {
                        return written(&body);
                    }
                }
                let mut arguments: SmallVec<[Py<PyAny>; 8]> = SmallVec::new();
                arguments.push(value.unbind());
                arguments.extend(values.iter().map(|value| value.clone_ref(py)));
                let body = ffi::vectorcall(to_json.bind(py), &arguments, Some(options.bind(py)))?;
                return written(body.cast::<PyBytes>()?.as_bytes());
            }
            Render::Text if native => {
                // A text with a lone surrogate is encoded by Python, which says what is wrong.
                if let Some(text) = object.cast_exact::<PyString>().ok().and_then(|text| text.to_str().ok()) {
                    return written(text.as_bytes());
                }
            }
            _ => {}
        }
    }
    let build = names::build_response(py)?;
    let (response, background) = (&solver.response, &solver.background);
    Ok(Answer::Build(build.call1((plan, result, response, background, &solver.connection.scope))?.unbind()))
}

/// Whether `object` is of a class that no response is of, at a glance.
fn is_data(object: &Bound<'_, PyAny>) -> bool {
    object.is_exact_instance_of::<PyDict>()
        || object.is_exact_instance_of::<PyList>()
        || object.is_exact_instance_of::<PyString>()
}

/// A response that the endpoint made itself.
fn given_response(py: Python<'_>, solver: &Solver, response: &Bound<'_, PyAny>, native: bool) -> PyResult<Answer> {
    if let Some(background) = &solver.background {
        if response.getattr(intern!(py, "background"))?.is_none() {
            response.setattr(intern!(py, "background"), background)?;
        }
    }
    object_answer(response, native)
}

/// How a response object leaves: as its bytes if calling it would do nothing else.
pub(crate) fn object_answer(response: &Bound<'_, PyAny>, native: bool) -> PyResult<Answer> {
    if native {
        if let Some(ready) = Ready::of_plain_response(response)? {
            return Ok(Answer::Ready(ready));
        }
    }
    if native {
        check_response(response)?;
    }
    Ok(Answer::Object(response.clone().unbind()))
}

#[cold]
#[inline(never)]
fn invalid(py: Python<'_>, plan: &Py<Plan>, solver: &Solver, error: &PyErr, result: &Py<PyAny>) -> PyErr {
    let build = || -> PyResult<PyErr> {
        if !error.is_instance(py, names::validation_error(py)?) {
            return Ok(error.clone_ref(py));
        }
        let arguments = (error.clone_ref(py).into_value(py), result, &plan.get().operation, &solver.connection.scope);
        Ok(PyErr::from_value(names::response_invalid(py)?.call1(arguments)?))
    };
    build().unwrap_or_else(|failure| failure)
}

/// The JSON bytes of `value`, as FastAPI's default response has them.
///
/// # Errors
/// What `JSONResponse(jsonable_encoder(value))` raises; `RecursionError` at a bounded depth.
#[pyfunction]
pub(crate) fn encode_json<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(value.py(), &serialize::encode_json(value)?))
}
