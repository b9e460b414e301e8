//! What runs a plan: `Driver::advance` is the table of contents of a request.
//!
//! It suspends when something it awaits suspends, and finishes inside one `send(None)` when nothing does.

mod by_name;
mod closing;
mod failing;
mod leaving;
mod reading;
pub(crate) mod responding;
mod sending;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::{PyTraverseError, PyVisit};

use self::closing::Ending;
pub(crate) use self::leaving::Client;
use self::reading::Chunks;
use crate::answer::{Received, Rendered, answer, object_answer, serialized_answer};
use crate::awaitable::{Next, Run};
use crate::connection::Channels;
use crate::error::Error;
use crate::names;
use crate::observer::Observer;
use crate::offload::{Offloaded, Progress};
use crate::plan::{ByName, Holding, Plan, Render};
use crate::response::Ready;
use crate::solve::{Body, Connection, Need, Place, Solver};
use crate::stream::Recorder;
use crate::teardown::Teardown;
use crate::worker_thread::{self, Called, Limiter};

/// Where a request is: what the awaitable that it waits for was started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not started.
    Matched,
    /// `receive()`: a piece of the body.
    Receiving,
    /// Starlette's reading of the body.
    Parsing,
    /// A dependency, or the endpoint.
    Solving,
    /// The dependencies, which are solved by name.
    SolvingByName,
    /// The endpoint, which is called by name.
    CallingByName,
    /// A worker thread.
    Offloading,
    /// The response object is being made.
    Building,
    /// The endpoint's result is serialized by name.
    Serializing,
    /// The end of a generator of function scope.
    ClosingFunction,
    /// `send()`: the start of the response.
    Starting,
    /// `send()`: its body.
    Sending,
    /// The response object sends itself.
    Calling,
    /// The background tasks.
    Background,
    /// The end of a generator of request scope.
    ClosingRequest,
    /// The end of the files of a form.
    ClosingFiles,
    /// The exception handlers answer.
    Failing,
}

/// One request under way.
pub(crate) struct Driver {
    channels: Channels,
    /// The application, when the driver is the outermost code of its request: exceptions go to its middleware stack.
    application: Option<Py<PyAny>>,
    /// Whether the response is sent from here; otherwise awaiting the driver gives a response object.
    is_native: bool,
    plan: Option<Py<Plan>>,
    by_name: ByName,
    solver: Option<Box<Solver>>,
    offloaded: Option<Py<Offloaded>>,
    /// Who records the request; the solver knows it, too.
    observer: Option<Observer>,
    /// The generators that wait at their `yield`.
    teardown: Teardown,
    chunks: Chunks,
    /// The files of a multipart form, closed after everything else.
    files: Option<Py<PyAny>>,
    /// What is sent once the generators of function scope are closed.
    answer: Option<Rendered>,
    ready: Option<Ready>,
    recorder: Option<Py<Recorder>>,
    /// What the request fails with, as no route answers it.
    refusal: Option<PyErr>,
    /// The `handle` of the route, if that answers instead of a plan.
    handle: Option<Py<PyAny>>,
    /// What solving by name has given.
    solved: Option<Py<PyAny>>,
    /// The exception in whose place the answer is sent, if it has one.
    answered: Option<Py<PyAny>>,
    /// The client, if the request is cancelled when it leaves.
    pub(crate) client: Option<Box<Client>>,
    /// How many bytes the body may have, if the route says so.
    pub(crate) limit: Option<u64>,
    /// The solver of a request that was answered 422 without an exception.
    refused: Option<Box<Solver>>,
    stage: Stage,
    ending: Option<Ending>,
    /// Whether it is closed by whoever awaits it: nothing can be waited for any more.
    is_closing: bool,
}

impl Driver {
    fn idle(channels: Channels, application: Option<Py<PyAny>>, is_native: bool) -> Self {
        Self {
            channels,
            application,
            is_native,
            plan: None,
            by_name: ByName::default(),
            solver: None,
            offloaded: None,
            observer: None,
            teardown: Teardown::default(),
            chunks: Chunks::default(),
            files: None,
            answer: None,
            ready: None,
            recorder: None,
            refusal: None,
            handle: None,
            solved: None,
            answered: None,
            client: None,
            limit: None,
            refused: None,
            stage: Stage::Matched,
            ending: None,
            is_closing: false,
        }
    }

    /// A driver that answers the request itself.
    pub(crate) fn native(
        py: Python<'_>,
        Holding { plan, by_name }: Holding<'_>,
        channels: Channels,
        application: Option<Py<PyAny>>,
        path_params: Option<Bound<'_, PyDict>>,
        is_observed: bool,
    ) -> PyResult<Box<Self>> {
        let mut solver = if by_name.request {
            Self::solver_of_made(py, plan, &channels)?
        } else {
            Solver::new(py, plan, Connection::new(channels.clone_ref(py), None), &Ok(path_params))?
        };
        solver.by_name = by_name;
        solver.is_outermost = application.is_some();
        solver.open_stacks(py, by_name.steps)?;
        let teardown = solver.teardown();
        let mut driver = Box::new(Self {
            plan: Some(plan.clone_ref(py)),
            by_name,
            solver: Some(solver),
            teardown,
            ..Self::idle(channels, application, true)
        });
        if is_observed {
            driver.observe(py, plan.get())?;
        }
        Ok(driver)
    }

    /// A driver that fails at once with what stands for a path that no route answers.
    pub(crate) fn refusing(channels: Channels, application: Py<PyAny>, refusal: PyErr) -> Box<Self> {
        Box::new(Self { refusal: Some(refusal), ..Self::idle(channels, Some(application), true) })
    }

    /// Take the body of its `Request`, which has been read; the files of a form are returned.
    fn take_body(&mut self, body: Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>> {
        let py = body.py();
        if self.plan(py)?.get().body.is_form() {
            return self.solver()?.take_multipart(&body, true);
        }
        if !body.is(names::undefined(py)?) {
            self.solver()?.body = Body::Value(body.unbind());
        }
        Ok(None)
    }

    /// The request, stage by stage: match (before), read, solve and call, render, send, clean up.
    fn advance(&mut self, py: Python<'_>, value: Bound<'_, PyAny>) -> PyResult<Next> {
        match self.stage {
            Stage::Matched => self.start(py),
            Stage::Receiving => self.received(py, &value),
            Stage::Parsing => self.take(py, value),
            Stage::Solving => self.solved(py, value),
            Stage::SolvingByName => self.solved_by_name(&value),
            Stage::CallingByName => self.called_by_name(&value),
            Stage::Offloading => {
                let progress = self.take_back(py)?;
                self.meet(py, progress)
            }
            Stage::Building => {
                let built = object_answer(&value, self.is_native)?;
                self.respond(py, built)
            }
            Stage::Serializing => {
                let (plan, is_native) = (self.plan(py)?, self.is_native);
                let answer = serialized_answer(plan.as_unbound(), self.solver()?, &value, is_native)?;
                self.respond(py, answer)
            }
            Stage::ClosingFunction | Stage::ClosingRequest => self.closed(py, &value),
            Stage::Starting => self.send_body(py),
            Stage::Sending => self.run_background(py),
            Stage::Calling | Stage::Background => self.finish(py),
            Stage::ClosingFiles | Stage::Failing => Ok(Next::Done(py.None())),
        }
    }

    fn start(&mut self, py: Python<'_>) -> PyResult<Next> {
        if let Some(refusal) = self.refusal.take() {
            return Err(refusal);
        }
        if let Some(handle) = self.handle.as_ref().map(|handle| handle.clone_ref(py)) {
            return self.call_response(py, &handle);
        }
        if self.is_native { self.read(py) } else { self.begin_solving(py) }
    }

    fn plan<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Plan>> {
        self.plan.as_ref().map(|plan| plan.bind(py).clone()).ok_or_else(|| Error::Resumed.into())
    }

    fn solver(&mut self) -> PyResult<&mut Solver> {
        self.solver.as_deref_mut().ok_or_else(|| Error::Resumed.into())
    }

    /// Let telemetry observe what is done from here on.
    #[cold]
    fn observe(&mut self, py: Python<'_>, plan: &Plan) -> PyResult<()> {
        self.observer = Observer::of(py, plan)?;
        let observer = self.observer.as_ref().map(|observer| observer.clone_ref(py));
        self.solver()?.observer = observer;
        Ok(())
    }

    /// Solve the graph, now that the body is read.
    fn begin_solving(&mut self, py: Python<'_>) -> PyResult<Next> {
        if self.by_name.steps {
            return self.take_steps(py);
        }
        if let Some(observer) = &self.observer {
            let observer = observer.clone_ref(py);
            let solver = self.solver()?;
            let (connection, body) = (solver.connection.request(py)?, solver.sent_body(py)?);
            observer.solving(py, &connection, body.as_ref())?;
        }
        self.solve(py)
    }

    fn solve(&mut self, py: Python<'_>) -> PyResult<Next> {
        self.stage = Stage::Solving;
        match self.run(py)? {
            Need::Await(awaitable) => Ok(Next::Await(awaitable)),
            need => self.meet(py, Progress::Need(need)),
        }
    }

    /// Run the solver on the event loop.
    fn run(&mut self, py: Python<'_>) -> PyResult<Need> {
        let need = self.solver()?.run(py, Place::Loop);
        if self.teardown.is_unneeded() {
            // It may have gone on with a plan that enters something.
            self.teardown = self.solver()?.teardown();
        }
        need
    }

    /// Meet one need of the solver after the other, as long as nothing has to be awaited.
    fn meet(&mut self, py: Python<'_>, mut progress: Progress) -> PyResult<Next> {
        loop {
            self.stage = Stage::Solving;
            let need = match progress {
                Progress::Need(need) => need,
                Progress::Received(result, received) => return self.render(result.bind(py), Some(received)),
            };
            progress = match need {
                Need::Await(awaitable) => return Ok(Next::Await(awaitable)),
                Need::Loop => Progress::Need(self.run(py)?),
                Need::Thread => match self.offload(py)? {
                    Called::Awaiting(awaitable) => return Ok(Next::Await(awaitable)),
                    Called::Returned(_) => self.take_back(py)?,
                },
                Need::Result(result) => return self.render(&result.into_bound(py), None),
                Need::Invalid if self.is_solving(py)? => return self.solution(py),
                Need::Invalid => return self.refuse(py),
            };
        }
    }

    /// Whether the arguments of the endpoint are all that is wanted.
    fn is_solving(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(matches!(self.plan(py)?.get().answer.get().render, Render::Solved { .. }))
    }

    #[cold]
    #[inline(never)]
    fn solution(&mut self, py: Python<'_>) -> PyResult<Next> {
        self.solver()?.solution(py).map(Next::Done)
    }

    fn solved(&mut self, py: Python<'_>, value: Bound<'_, PyAny>) -> PyResult<Next> {
        if self.by_name.steps {
            return self.steps_taken(&value);
        }
        match self.solver()?.resume(py, value.unbind()) {
            None => self.solve(py),
            Some(result) => self.render(&result.into_bound(py), None),
        }
    }

    fn offload(&mut self, py: Python<'_>) -> PyResult<Called> {
        let Some(solver) = self.solver.take() else { return Err(Error::Resumed.into()) };
        let plan = self.plan(py)?;
        if self.client.is_some() {
            self.leave_client(py)?;
        }
        let offloaded = Py::new(py, Offloaded::new(plan.clone().unbind(), solver))?;
        self.offloaded = Some(offloaded.clone_ref(py));
        self.stage = Stage::Offloading;
        worker_thread::call(offloaded.bind(py).as_any(), Limiter::Shared, &plan.get().short_calls)
    }

    fn take_back(&mut self, py: Python<'_>) -> PyResult<Progress> {
        let Some(offloaded) = self.offloaded.take() else { return Err(Error::Resumed.into()) };
        let (solver, progress) = offloaded.get().take_back(py)?;
        self.solver = Some(solver);
        Ok(progress)
    }

    fn render(&mut self, result: &Bound<'_, PyAny>, received: Option<Received>) -> PyResult<Next> {
        let py = result.py();
        let (plan, is_native) = (self.plan(py)?, self.is_native);
        if matches!(plan.get().answer.get().render, Render::Nothing) {
            return Ok(Next::Done(py.None()));
        }
        if self.is_solving(py)? {
            return self.solution(py);
        }
        let answer = answer(plan.as_unbound(), self.solver()?, result, received, is_native)?;
        self.respond(py, answer)
    }

    fn respond(&mut self, py: Python<'_>, answer: Rendered) -> PyResult<Next> {
        if self.client.is_some() {
            self.leave_client(py)?;
        }
        match answer {
            Rendered::Build(awaitable) => {
                self.stage = Stage::Building;
                Ok(Next::Await(awaitable))
            }
            Rendered::Serialize(awaitable) => {
                self.stage = Stage::Serializing;
                Ok(Next::Await(awaitable))
            }
            Rendered::Object(response) if !self.is_native => Ok(Next::Done(response)),
            answer => {
                self.answer = Some(answer);
                self.close_function_scope(py)
            }
        }
    }
}

impl Run for Driver {
    fn proceed<'py>(&mut self, py: Python<'py>, value: Bound<'py, PyAny>) -> PyResult<Next> {
        self.advance(py, value)
    }

    fn recover(&mut self, py: Python<'_>, error: PyErr) -> PyResult<Next> {
        self.meet_error(py, error)
    }

    #[inline]
    fn suspended(&mut self, py: Python<'_>) -> PyResult<()> {
        if self.client.is_some() { self.watch_client(py) } else { Ok(()) }
    }

    fn closing(&mut self) {
        self.is_closing = true;
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.channels.visit(visit)?;
        visit.call(&self.application)?;
        visit.call(&self.plan)?;
        self.solver.iter().chain(&self.refused).try_for_each(|solver| solver.visit(visit))?;
        visit.call(&self.offloaded)?;
        visit.call(self.observer.as_ref().map(|observer| &observer.0))?;
        self.teardown.visit(visit)?;
        visit.call(&self.files)?;
        self.answer.as_ref().map_or(Ok(()), |answer| answer.visit(visit))?;
        self.ready.as_ref().map_or(Ok(()), |ready| ready.visit(visit))?;
        visit.call(&self.answered)?;
        visit.call(&self.handle)?;
        visit.call(&self.solved)?;
        visit.call(self.client.as_ref().and_then(|client| client.watch()))?;
        visit.call(&self.recorder)
    }
}
