//! The awaitable that runs a plan: `Driver::proceed` is the table of contents of a request.
//!
//! It suspends when something it awaits suspends, and finishes inside one `send(None)` when nothing does.

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::{PyBaseException, PyException, PyStopIteration, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyType};

use crate::answer::{Answer, answer, object_answer};
use crate::error::Error;
use crate::extract;
use crate::ffi::{self, Sent};
use crate::hop::{Hop, Landed};
use crate::plan::{BodyMode, Plan};
use crate::respond::{Ready, message_type};
use crate::scope::Scope;
use crate::solve::{Body, Connection, Need, Place, Solver};
use crate::{body, names};

/// Where a request is: what the awaitable that it waits for was started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not started.
    Matched,
    /// `receive()`: a piece of the body.
    Receiving,
    /// A dependency, or the endpoint.
    Solving,
    /// A worker thread.
    Hopping,
    /// The response object is being made.
    Building,
    /// `send()`: the start of the response.
    Starting,
    /// `send()`: its body.
    Sending,
    /// The response object sends itself.
    Calling,
    /// The background tasks.
    Background,
    /// The exception handlers answer.
    Failing,
    /// Nothing more will happen.
    Finished,
}

/// What a stage leads to.
enum Next {
    /// Wait for this, then proceed with its result.
    Await(Py<PyAny>),
    /// The request is over; this is what awaiting the driver gives.
    Done(Py<PyAny>),
}

/// One request under way: an awaitable for the server's task.
#[pyclass(module = "ferroapi._core")]
pub(crate) struct Driver {
    plan: Py<Plan>,
    scope: Py<PyDict>,
    receive: Py<PyAny>,
    send: Py<PyAny>,
    /// The application, when this driver is the outermost code of its request; exceptions then go to its middleware stack.
    application: Option<Py<PyAny>>,
    /// Whether the response is sent from here; otherwise awaiting the driver gives a response object.
    native: bool,
    solver: Option<Box<Solver>>,
    hop: Option<Py<Hop>>,
    chunks: Vec<Py<PyBytes>>,
    ready: Option<Ready>,
    recorder: Option<Py<Recorder>>,
    stage: Stage,
    awaiting: Option<Py<PyAny>>,
}

/// The `send` that a response object is given, which notes whether the response has started.
#[pyclass(frozen, module = "ferroapi._core")]
struct Recorder {
    send: Py<PyAny>,
    started: AtomicBool,
}

#[pymethods]
impl Recorder {
    fn __call__<'py>(&self, message: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        if message_type(message)? == "http.response.start" {
            self.started.store(true, Ordering::Release);
        }
        self.send.bind(message.py()).call1((message,))
    }
}

/// How a suspended driver is resumed.
enum Input<'py> {
    Value(Bound<'py, PyAny>),
    Error(PyErr),
}

impl Driver {
    /// A driver that answers the request itself.
    pub(crate) fn native(
        py: Python<'_>,
        plan: Py<Plan>,
        scope: &Bound<'_, PyDict>,
        path_params: Option<&Bound<'_, PyDict>>,
        channels: (Py<PyAny>, Py<PyAny>),
        application: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let (receive, send) = channels;
        let collected = extract::collect(plan.get(), Scope(scope), path_params)?;
        let connection =
            Connection::new(scope.clone().unbind(), receive.clone_ref(py), send.clone_ref(py), None);
        Ok(Self {
            solver: Some(Box::new(Solver::new(plan.clone_ref(py), connection, collected))),
            plan,
            scope: scope.clone().unbind(),
            receive,
            send,
            application,
            native: true,
            hop: None,
            chunks: Vec::new(),
            ready: None,
            recorder: None,
            stage: Stage::Matched,
            awaiting: None,
        })
    }

    /// A driver that gives the response object for a `Request` whose body has been read.
    pub(crate) fn responding(py: Python<'_>, plan: Py<Plan>, request: &Bound<'_, PyAny>, body: Bound<'_, PyAny>) -> PyResult<Self> {
        let scope = request.getattr(intern!(py, "scope"))?.cast_into::<PyDict>()?;
        let path_params = match scope.get_item(intern!(py, "path_params"))? {
            Some(params) => Some(params.cast_into::<PyDict>()?),
            None => None,
        };
        let collected = extract::collect(plan.get(), Scope(&scope), path_params.as_ref())?;
        let connection = Connection::new(scope.clone().unbind(), py.None(), py.None(), Some(request.clone().unbind()));
        let mut solver = Box::new(Solver::new(plan.clone_ref(py), connection, collected));
        if !body.is(names::undefined(py)?) {
            solver.body = Body::Value(body.unbind());
        }
        if plan.get().has_generators {
            let stack = |name| -> PyResult<Py<PyAny>> {
                Ok(scope.get_item(name)?.map_or_else(|| py.None(), Bound::unbind))
            };
            solver.stacks = Some((
                stack(intern!(py, "fastapi_inner_astack"))?,
                stack(intern!(py, "fastapi_function_astack"))?,
            ));
        }
        Ok(Self {
            solver: Some(solver),
            plan,
            scope: scope.unbind(),
            receive: py.None(),
            send: py.None(),
            application: None,
            native: false,
            hop: None,
            chunks: Vec::new(),
            ready: None,
            recorder: None,
            stage: Stage::Matched,
            awaiting: None,
        })
    }

    /// Run until something suspends (its yielded object) or the request is over (`StopIteration` with the result).
    fn advance<'py>(&mut self, py: Python<'py>, input: Input<'py>) -> PyResult<Bound<'py, PyAny>> {
        let mut next = match (self.awaiting.take(), input) {
            (Some(awaiting), input) => match resume(awaiting.bind(py), input) {
                Ok(Sent::Yielded(object)) => {
                    self.awaiting = Some(awaiting);
                    return Ok(object);
                }
                Ok(Sent::Returned(value)) => self.proceed(py, value.unbind()),
                Err(error) => Err(error),
            },
            (None, Input::Value(_)) if self.stage == Stage::Matched => self.proceed(py, py.None()),
            (None, Input::Error(error)) => Err(error),
            (None, Input::Value(_)) => return Err(Error::Resumed.into()),
        };
        loop {
            let object = match next.or_else(|error| self.fail(py, error)) {
                Ok(Next::Await(object)) => object,
                Ok(Next::Done(value)) => {
                    self.stage = Stage::Finished;
                    return Err(PyStopIteration::new_err((value,)));
                }
                Err(error) => {
                    self.stage = Stage::Finished;
                    return Err(error);
                }
            };
            next = match iterator(object.into_bound(py)).and_then(|iterator| {
                let sent = ffi::send(&iterator, py.None().bind(py))?;
                Ok((iterator, sent))
            }) {
                Ok((iterator, Sent::Yielded(object))) => {
                    self.awaiting = Some(iterator.unbind());
                    return Ok(object);
                }
                Ok((_, Sent::Returned(value))) => self.proceed(py, value.unbind()),
                Err(error) => Err(error),
            };
        }
    }

    /// The request, stage by stage: match (before), read, solve and call, render, send, clean up.
    fn proceed(&mut self, py: Python<'_>, value: Py<PyAny>) -> PyResult<Next> {
        match self.stage {
            Stage::Matched => match self.plan.get().body {
                BodyMode::Json { .. } if self.native => self.receive(py),
                _ => self.solve(py),
            },
            Stage::Receiving => self.received(py, value.bind(py)),
            Stage::Solving => self.solved(py, value),
            Stage::Hopping => self.landed(py),
            Stage::Building => {
                let built = object_answer(value.bind(py), self.native)?;
                self.respond(py, built)
            }
            Stage::Starting => self.send_body(py),
            Stage::Sending => self.run_background(py),
            Stage::Calling | Stage::Background | Stage::Failing => Ok(Next::Done(py.None())),
            Stage::Finished => Err(Error::Resumed.into()),
        }
    }

    fn receive(&mut self, py: Python<'_>) -> PyResult<Next> {
        self.stage = Stage::Receiving;
        self.receive.call0(py).map(Next::Await)
    }

    fn received(&mut self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<Next> {
        let kind = message_type(message)?;
        if kind == "http.disconnect" {
            return Err(PyErr::from_value(names::client_disconnect(py)?.call0()?));
        }
        if kind != "http.request" {
            return self.receive(py);
        }
        let message = message.cast::<PyDict>()?;
        if let Some(chunk) = message.get_item(intern!(py, "body"))? {
            let chunk = chunk
                .cast_into::<PyBytes>()
                .map_err(|_| Error::Message { key: "body", expected: "bytes" })?;
            if !chunk.as_bytes().is_empty() {
                self.chunks.push(chunk.unbind());
            }
        }
        let more = message.get_item(intern!(py, "more_body"))?;
        if more.map_or(Ok(false), |more| more.is_truthy())? {
            return self.receive(py);
        }
        self.parse(py)?;
        self.solve(py)
    }

    fn parse(&mut self, py: Python<'_>) -> PyResult<()> {
        let chunks = std::mem::take(&mut self.chunks);
        let bytes = match chunks.as_slice() {
            [only] => only.bind(py).clone(),
            chunks => {
                let whole: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.as_bytes(py)).copied().collect();
                PyBytes::new(py, &whole)
            }
        };
        let Some(solver) = &mut self.solver else { return Err(Error::Resumed.into()) };
        solver.connection.body_bytes = Some(bytes.clone().into_any().unbind());
        let BodyMode::Json { strict } = self.plan.get().body else { return Ok(()) };
        if bytes.as_bytes().is_empty() {
            return Ok(());
        }
        let value = if body::is_json(Scope(self.scope.bind(py)), strict)? {
            let json = body::parse_json(&bytes)?.unbind();
            solver.connection.body_json = Some(json.clone_ref(py));
            json
        } else {
            bytes.into_any().unbind()
        };
        solver.body = Body::Value(value);
        Ok(())
    }

    fn solve(&mut self, py: Python<'_>) -> PyResult<Next> {
        let Some(solver) = &mut self.solver else { return Err(Error::Resumed.into()) };
        self.stage = Stage::Solving;
        let need = solver.run(py, Place::Loop)?;
        self.meet(py, need)
    }

    fn meet(&mut self, py: Python<'_>, need: Need) -> PyResult<Next> {
        match need {
            Need::Await(awaitable) => {
                self.stage = Stage::Solving;
                Ok(Next::Await(awaitable))
            }
            Need::Loop => self.solve(py),
            Need::Thread => self.hop(py),
            Need::Result(result) => self.render(py, &result),
            Need::Invalid => Err(self.invalid(py)),
        }
    }

    fn solved(&mut self, py: Python<'_>, value: Py<PyAny>) -> PyResult<Next> {
        let Some(solver) = &mut self.solver else { return Err(Error::Resumed.into()) };
        match solver.resume(py, value) {
            None => self.solve(py),
            Some(result) => self.render(py, &result),
        }
    }

    fn hop(&mut self, py: Python<'_>) -> PyResult<Next> {
        let Some(solver) = self.solver.take() else { return Err(Error::Resumed.into()) };
        let hop = Py::new(py, Hop::new(self.plan.clone_ref(py), solver, self.native))?;
        self.hop = Some(hop.clone_ref(py));
        self.stage = Stage::Hopping;
        Ok(Next::Await(names::run_sync(py)?.call1((hop,))?.unbind()))
    }

    fn landed(&mut self, py: Python<'_>) -> PyResult<Next> {
        let Some(hop) = self.hop.take() else { return Err(Error::Resumed.into()) };
        let (solver, landed) = hop.get().land()?;
        self.solver = Some(solver);
        match landed {
            Landed::Need(need) => self.meet(py, need),
            Landed::Answer(answer) => self.respond(py, answer),
        }
    }

    fn render(&mut self, py: Python<'_>, result: &Py<PyAny>) -> PyResult<Next> {
        let Some(solver) = &self.solver else { return Err(Error::Resumed.into()) };
        let answer = answer(py, &self.plan, solver, result, self.native)?;
        self.respond(py, answer)
    }

    fn respond(&mut self, py: Python<'_>, answer: Answer) -> PyResult<Next> {
        match answer {
            Answer::Build(awaitable) => {
                self.stage = Stage::Building;
                Ok(Next::Await(awaitable))
            }
            Answer::Object(response) if !self.native => Ok(Next::Done(response)),
            Answer::Object(response) => {
                self.stage = Stage::Calling;
                if let Some(solver) = &mut self.solver {
                    // The response object runs the background tasks itself.
                    solver.background = None;
                }
                let recorder =
                    Py::new(py, Recorder { send: self.send.clone_ref(py), started: AtomicBool::new(false) })?;
                self.recorder = Some(recorder.clone_ref(py));
                response.call1(py, (&self.scope, &self.receive, recorder)).map(Next::Await)
            }
            Answer::Ready(ready) => {
                self.stage = Stage::Starting;
                let message = ready.start(py)?;
                self.ready = Some(ready);
                self.send.call1(py, (message,)).map(Next::Await)
            }
        }
    }

    fn send_body(&mut self, py: Python<'_>) -> PyResult<Next> {
        let Some(ready) = &self.ready else { return Err(Error::Resumed.into()) };
        self.stage = Stage::Sending;
        let message = ready.body(py)?;
        self.send.call1(py, (message,)).map(Next::Await)
    }

    fn run_background(&mut self, py: Python<'_>) -> PyResult<Next> {
        match self.solver.as_mut().and_then(|solver| solver.background.take()) {
            None => Ok(Next::Done(py.None())),
            Some(tasks) => {
                self.stage = Stage::Background;
                tasks.call0(py).map(Next::Await)
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn invalid(&self, py: Python<'_>) -> PyErr {
        let build = || -> PyResult<PyErr> {
            let Some(solver) = &self.solver else { return Err(Error::Resumed.into()) };
            let body = match &solver.body {
                Body::Undefined => py.None(),
                Body::Value(body) => body.clone_ref(py),
            };
            let errors = solver.errors.list(py);
            let error = names::request_invalid(py)?.call1((errors, body, &self.plan.get().route, &self.scope))?;
            Ok(PyErr::from_value(error))
        };
        build().unwrap_or_else(|failure| failure)
    }

    /// An exception: the handlers of the application answer it, or it leaves the driver.
    #[cold]
    #[inline(never)]
    fn fail(&mut self, py: Python<'_>, error: PyErr) -> PyResult<Next> {
        let over = matches!(self.stage, Stage::Failing | Stage::Finished) || !self.native;
        if over || !error.is_instance_of::<PyException>(py) {
            return Err(error);
        }
        let error = if self.stage == Stage::Receiving {
            let route = &self.plan.get().route;
            PyErr::from_value(names::body_failure(py)?.call1((error.value(py), route, &self.scope))?)
        } else {
            error
        };
        let started = match self.stage {
            Stage::Starting | Stage::Sending | Stage::Background => true,
            _ => self.recorder.as_ref().is_some_and(|recorder| recorder.get().started.load(Ordering::Acquire)),
        };
        self.stage = Stage::Failing;
        let channels = (&self.scope, &self.receive, &self.send);
        let arguments = (channels, error.value(py), started, &self.application);
        Ok(Next::Await(names::answer_failure(py)?.call1(arguments)?.unbind()))
    }
}

/// What `await object` iterates over.
fn iterator(object: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    if ffi::is_coroutine(&object) {
        return Ok(object);
    }
    let py = object.py();
    match object.call_method0(intern!(py, "__await__")) {
        Ok(iterator) => Ok(iterator),
        Err(_) if !object.hasattr(intern!(py, "__await__"))? => {
            let name = object.get_type().name()?;
            Err(PyTypeError::new_err(format!("object {name} can't be used in 'await' expression")))
        }
        Err(error) => Err(error),
    }
}

/// Pass a value or an exception on to what is awaited.
fn resume<'py>(iterator: &Bound<'py, PyAny>, input: Input<'py>) -> PyResult<Sent<'py>> {
    let py = iterator.py();
    let error = match input {
        Input::Value(value) => return ffi::send(iterator, &value),
        Input::Error(error) => error,
    };
    if !iterator.hasattr(intern!(py, "throw"))? {
        return Err(error);
    }
    match iterator.call_method1(intern!(py, "throw"), (error.value(py),)) {
        Ok(object) => Ok(Sent::Yielded(object)),
        Err(stop) if stop.is_instance_of::<PyStopIteration>(py) => {
            Ok(Sent::Returned(stop.value(py).getattr(intern!(py, "value"))?))
        }
        Err(error) => Err(error),
    }
}

#[pymethods]
impl Driver {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.advance(py, Input::Value(py.None().into_bound(py)))
    }

    fn send<'py>(&mut self, py: Python<'py>, value: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.advance(py, Input::Value(value))
    }

    #[pyo3(signature = (kind, value=None, _traceback=None))]
    fn throw<'py>(
        &mut self,
        py: Python<'py>,
        kind: Bound<'py, PyAny>,
        value: Option<Bound<'py, PyAny>>,
        _traceback: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let error = match (kind.cast::<PyType>(), value) {
            (Ok(_), Some(value)) if value.is_instance_of::<PyBaseException>() => value,
            (Ok(class), Some(value)) => class.call1((value,))?,
            (Ok(class), None) => class.call0()?,
            (Err(_), _) => kind,
        };
        self.advance(py, Input::Error(PyErr::from_value(error)))
    }

    fn close(&mut self, py: Python<'_>) -> PyResult<()> {
        self.stage = Stage::Finished;
        self.solver = None;
        match self.awaiting.take() {
            Some(awaiting) if awaiting.bind(py).hasattr(intern!(py, "close"))? => {
                awaiting.call_method0(py, intern!(py, "close")).map(drop)
            }
            _ => Ok(()),
        }
    }
}

/// Run a plan for a `Request` whose body has been read (`PydanticUndefined` if there is none); awaiting the driver gives
/// the response object.
#[pyfunction]
pub(crate) fn respond(
    py: Python<'_>,
    plan: Py<Plan>,
    request: &Bound<'_, PyAny>,
    body: Bound<'_, PyAny>,
) -> PyResult<Driver> {
    Driver::responding(py, plan, request, body)
}
