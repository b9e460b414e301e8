//! What the endpoint returned becomes a response: bytes where the plan knows how, otherwise an object that Python makes.
//!
//! Source: FastAPI behaviour, `routing.get_request_handler` (after the endpoint) and `serialize_response`.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};
use pyo3::{PyTraverseError, PyVisit};
use smallvec::SmallVec;

use crate::class_dicts::keeps_its_class;
use crate::error::{Error, guarded};
use crate::plan::{Plan, Render};
use crate::response::{Content, Ready, carries_body, check_response};
use crate::serialize::model::Serialized;
use crate::serialize::plain;
use crate::solve::Solver;
use crate::{ffi, names, observer, serialize, validate};

/// How the response leaves.
pub(crate) enum Rendered {
    /// As two messages with these bytes.
    Ready(Ready),
    /// By this response object, called with `scope, receive, send`.
    Object(Py<PyAny>),
    /// By the object that this awaitable makes.
    Build(Py<PyAny>),
    /// As what this awaitable makes of the endpoint's result.
    Serialize(Py<PyAny>),
}

/// What the response model made of the endpoint's result.
pub(crate) enum Received {
    /// Its JSON: nothing of the application's runs between validating and writing it.
    Written(Vec<u8>),
    /// What is to be written, by the model's serializer if it may be one that is known.
    Valid { value: Py<PyAny>, may_be_plain: bool },
    /// The errors that it is refused for.
    Refused(Py<PyAny>),
}

/// Validate the endpoint's `result`; what runs code of the application's is called by `call`.
///
/// # Errors
/// Whatever that code raises, but for `ValidationError`.
fn receive<'py>(
    render: &Render,
    result: &Bound<'py, PyAny>,
    call: impl FnOnce(&Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Option<Received>> {
    let Render::Model { validate, serializer, .. } = render else { return Ok(None) };
    let py = result.py();
    let serialized = serializer.as_ref().map_or(Serialized::NotPlain, |serializer| serializer.get().receive(result));
    if let Serialized::Done(body) = serialized {
        return Ok(Some(Received::Written(body)));
    }
    match call(validate.bind(py)) {
        Ok(value) => {
            let may_be_plain = matches!(serialized, Serialized::Unvalidated);
            Ok(Some(Received::Valid { value: value.unbind(), may_be_plain }))
        }
        Err(error) if error.is_instance(py, names::validation_error(py)?) => {
            let arguments = (error.into_value(py), ("response",));
            Ok(Some(Received::Refused(names::field_errors(py)?.call1(arguments)?.unbind())))
        }
        Err(error) => Err(error),
    }
}

/// Validate the `result` of a plain function, in the worker thread that called it; nothing where that is done later.
///
/// Under FastAPI the event loop looks at the result before, and gives the validation a thread and a context of its own.
///
/// # Errors
/// Whatever the application's validators raise; that the request is cancelled.
pub(crate) fn receive_in_thread(
    py: Python<'_>,
    plan: &Plan,
    solver: &Solver,
    result: &Py<PyAny>,
) -> PyResult<Option<Received>> {
    let object = result.bind(py);
    if solver.by_name.serialization
        || !plan.validates_in_thread()
        || !(is_data(object) || is_no_response(object)?)
        || !status(py, plan, solver).is_ok_and(carries_body)
        || is_returned_error(plan, object)?
    {
        return Ok(None);
    }
    receive(&plan.answer.get().render, object, |validate| {
        names::check_cancelled(py)?.call0()?;
        let run = names::copy_context(py)?.call0()?.getattr(intern!(py, "run"))?;
        validate::call_validator_in(&run, validate, result.clone_ref(py))
    })
}

impl Received {
    pub(crate) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Written(_) => Ok(()),
            Self::Valid { value: object, .. } | Self::Refused(object) => visit.call(object),
        }
    }
}

impl Rendered {
    pub(crate) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Ready(ready) => ready.visit(visit),
            Self::Object(object) | Self::Build(object) | Self::Serialize(object) => visit.call(object),
        }
    }
}

/// Turn what the endpoint returned into an answer; `native` says that bytes are wanted rather than an object.
///
/// `received` is what its model has made of it already.
///
/// # Errors
/// `ResponseValidationError`, and whatever serializing user objects raises.
pub(crate) fn answer(
    plan: &Py<Plan>,
    solver: &Solver,
    object: &Bound<'_, PyAny>,
    received: Option<Received>,
    native: bool,
) -> PyResult<Rendered> {
    let py = object.py();
    let recipe = plan.get().answer.get();
    match recipe.render {
        Render::Response { .. } => return object_answer(object, native),
        Render::Stream { .. } => return build(names::start_stream(py)?, plan, solver, object),
        _ => {}
    }
    if received.is_none() && !is_data(object) && object.is_instance(names::response(py)?)? {
        return given_response(py, solver, object, native);
    }
    if is_returned_error(plan.get(), object)? {
        return build(names::answer_returned_error(py)?, plan, solver, object);
    }
    if solver.by_name.serialization {
        if let Some(observer) = &solver.observer {
            observer.serializing(py)?;
        }
        let content = names::serialize(py)?.call1((&plan.get().operation, object, solver.connection.shown(py)?))?;
        return Ok(Rendered::Serialize(content.unbind()));
    }
    let status = status(py, plan.get(), solver)?;
    if carries_body(status) {
        let added = added_headers(py, solver)?;
        let written = |body: Content| -> PyResult<Rendered> {
            let ready = Ready::new(py, recipe, status, body, added.as_ref())?;
            if native {
                return Ok(Rendered::Ready(ready));
            }
            let is_json = matches!(recipe.render, Render::Json);
            ready.into_response(py, is_json, solver.background.as_ref()).map(Rendered::Object)
        };
        let observer = solver.observer.as_ref();
        match &recipe.render {
            Render::Json => {
                let body = observer::serialized(py, observer, || serialize::encode_json(object))?;
                return written(Content::Written(body?));
            }
            Render::Model { .. } if received.is_none() && plan.get().validates_in_thread() => {}
            Render::Model { .. } => {
                let answer = || model_answer(plan, solver, object, received, written);
                return observer::serialized(py, observer, answer);
            }
            Render::Text if native => {
                // A text with a lone surrogate is encoded by Python, which says what is wrong.
                if let Some(text) = object.cast_exact::<PyString>().ok().and_then(|text| text.to_str().ok()) {
                    return observer::serialized(py, observer, || written(Content::Written(text.as_bytes().to_vec())));
                }
            }
            _ => {}
        }
    }
    build(names::build_response(py)?, plan, solver, object)
}

/// The headers that dependencies have added.
#[inline]
fn added_headers<'py>(py: Python<'py>, solver: &Solver) -> PyResult<Option<Bound<'py, PyAny>>> {
    match &solver.response {
        None => Ok(None),
        // The attribute `raw_headers` may be another list by now, which FastAPI does not look at.
        Some(response) => response.bind(py).getattr(intern!(py, "headers"))?.getattr(intern!(py, "raw")).map(Some),
    }
}

/// The answer with what was made of the endpoint's result by name: written here if the response class would write the same.
///
/// # Errors
/// Those of the response class.
#[cold]
pub(crate) fn serialized_answer(
    plan: &Py<Plan>,
    solver: &Solver,
    content: &Bound<'_, PyAny>,
    native: bool,
) -> PyResult<Rendered> {
    let py = content.py();
    if let Some(observer) = &solver.observer {
        observer.serialized(py)?;
    }
    let recipe = plan.get().answer.get();
    let body = match &recipe.render {
        Render::Json if native && plain::is_plain(content)? => {
            Some(Content::Written(serialize::encode_json(content)??))
        }
        Render::Model { .. } if native && content.is_exact_instance_of::<PyBytes>() => {
            Some(Content::Object(content.clone().unbind()))
        }
        _ => None,
    };
    if let (Some(body), Ok(status)) = (body, status(py, plan.get(), solver)) {
        if carries_body(status) {
            let added = added_headers(py, solver)?;
            return Ready::new(py, recipe, status, body, added.as_ref()).map(Rendered::Ready);
        }
    }
    let arguments = (&plan.get().operation, content, &solver.response, &solver.background);
    object_answer(&names::respond_with(py)?.call1(arguments)?, native)
}

/// An answer that Python builds of a result.
fn build(build: &Bound<'_, PyAny>, plan: &Py<Plan>, solver: &Solver, result: &Bound<'_, PyAny>) -> PyResult<Rendered> {
    let (response, background) = (&solver.response, &solver.background);
    let request = solver.connection.shown(build.py())?;
    Ok(Rendered::Build(build.call1((plan, result, response, background, request))?.unbind()))
}

/// What `written` makes of the JSON of the endpoint's `result` as its model has it.
fn model_answer<T>(
    plan: &Py<Plan>,
    solver: &Solver,
    result: &Bound<'_, PyAny>,
    received: Option<Received>,
    written: impl FnOnce(Content) -> PyResult<T>,
) -> PyResult<T> {
    let py = result.py();
    let render = &plan.get().answer.get().render;
    let received = match received {
        None => receive(render, result, |validate| validate::call_validator(validate, result.clone().unbind()))?,
        given => given,
    };
    match (render, received) {
        (_, Some(Received::Written(body))) => written(Content::Written(body)),
        (_, Some(Received::Refused(errors))) => Err(refused(py, plan, solver, &errors, result)),
        (Render::Model { to_json, options, values, serializer, .. }, Some(Received::Valid { value, may_be_plain })) => {
            let serializer = serializer.as_ref().filter(|_| may_be_plain);
            if let Some(body) = serializer.and_then(|serializer| serializer.get().write(value.bind(py))) {
                return written(Content::Written(body));
            }
            let mut arguments: SmallVec<[Py<PyAny>; 8]> = SmallVec::new();
            arguments.push(value);
            arguments.extend(values.iter().map(|value| value.clone_ref(py)));
            let body = ffi::vectorcall(to_json.bind(py), &arguments, Some(options.bind(py)))?;
            written(Content::Object(body.cast_into::<PyBytes>()?.into_any().unbind()))
        }
        _ => Err(Error::Resumed.into()),
    }
}

/// Whether an endpoint has returned one of the errors that its annotation names.
fn is_returned_error(plan: &Plan, object: &Bound<'_, PyAny>) -> PyResult<bool> {
    match &plan.returned_errors {
        None => Ok(false),
        Some(classes) => object.is_instance(classes.bind(object.py())),
    }
}

/// Whether `object` is of a class that no response is of, at a glance.
fn is_data(object: &Bound<'_, PyAny>) -> bool {
    object.is_exact_instance_of::<PyDict>()
        || object.is_exact_instance_of::<PyList>()
        || object.is_exact_instance_of::<PyString>()
}

/// Whether it can be told of `object` without asking it that it is no response: its class does not say that it is another.
fn is_no_response(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    let class = object.get_type();
    let response = names::response(object.py())?;
    Ok(!class.mro().iter_borrowed().any(|base| base.is(response)) && keeps_its_class(&class)?)
}

/// A response that the endpoint made itself.
fn given_response(py: Python<'_>, solver: &Solver, response: &Bound<'_, PyAny>, native: bool) -> PyResult<Rendered> {
    if native && solver.background.is_none() {
        if let Some(ready) = Ready::of_plain_response(response)? {
            return Ok(Rendered::Ready(ready));
        }
    }
    // A class of the application's is asked and told, also where there are none.
    if response.getattr(intern!(py, "background"))?.is_none() {
        response.setattr(intern!(py, "background"), &solver.background)?;
    }
    object_answer(response, native)
}

/// How a response object leaves: as its bytes if calling it would do nothing else.
pub(crate) fn object_answer(response: &Bound<'_, PyAny>, native: bool) -> PyResult<Rendered> {
    if native {
        if let Some(ready) = Ready::of_plain_response(response)? {
            return Ok(Rendered::Ready(ready));
        }
        check_response(response)?;
    }
    Ok(Rendered::Object(response.clone().unbind()))
}

/// The error of a result that its model refuses.
#[cold]
#[inline(never)]
fn refused(py: Python<'_>, plan: &Py<Plan>, solver: &Solver, errors: &Py<PyAny>, result: &Bound<'_, PyAny>) -> PyErr {
    let error = solver
        .connection
        .shown(py)
        .and_then(|request| names::response_invalid(py)?.call1((errors, result, &plan.get().operation, request)));
    match error {
        Ok(error) => PyErr::from_value(error),
        Err(failure) => failure,
    }
}

/// The status of the response: a dependency's, else the declared one.
///
/// # Errors
/// `RuntimeError`: it is none.
fn status(py: Python<'_>, plan: &Plan, solver: &Solver) -> PyResult<u16> {
    let declared = plan.answer.get().status;
    let status = match &solver.response {
        None => declared,
        Some(response) => {
            let chosen = response.bind(py).getattr(intern!(py, "status_code"))?;
            match chosen.extract::<Option<u16>>() {
                Ok(Some(0) | None) => declared.or_else(|| (!chosen.is_none()).then_some(0)),
                Ok(status) => status,
                Err(_) => return Err(Error::Status { status: chosen.to_string() }.into()),
            }
        }
    };
    Ok(status.unwrap_or(200))
}

/// The same, but nothing if they are more than `limit`, or are likely to be refused: little more is written than that.
///
/// # Errors
/// Those of [`encode_json`].
#[pyfunction]
pub(crate) fn encode_json_within<'py>(
    value: &Bound<'py, PyAny>,
    limit: usize,
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    guarded(|| Ok(serialize::encode_json_within(value, limit)?.map(|text| PyBytes::new(value.py(), &text))))
}

/// The JSON bytes of `value`, as FastAPI's default response has them.
///
/// # Errors
/// What `JSONResponse(jsonable_encoder(value))` raises; `RecursionError` at a bounded depth.
#[pyfunction]
pub(crate) fn encode_json<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    guarded(|| Ok(PyBytes::new(value.py(), &serialize::encode_json(value)??)))
}
