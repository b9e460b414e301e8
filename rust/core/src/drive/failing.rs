//! What is answered in the place of an exception, and where an exception is met.

use pyo3::exceptions::{PyException, PyStopAsyncIteration};
use pyo3::intern;
use pyo3::prelude::*;

use super::{Driver, Ending, Stage};
use crate::answer::{Rendered, object_answer};
use crate::awaitable::{Next, close, exception};
use crate::error::raised_while_handling;
use crate::ffi;
use crate::names;
use crate::plan::Reading;
use crate::send::take_turns;
use crate::solve::no_yield;
use crate::teardown::Lifetime;

impl Driver {
    /// The request does not validate: the default answer at once, or the exception for whoever handles it.
    pub(super) fn refuse(&mut self, py: Python<'_>) -> PyResult<Next> {
        if self.is_native && self.observer.is_none() && self.teardown.is_idle(py)? {
            let errors = self.solver()?.errors.list(py);
            let (handlers, size) = (self.handlers(py)?, self.solver()?.connection.body_size);
            let scope = self.channels.scope(py)?;
            let response = names::default_refusal(py)?.call1((errors, handlers, size, scope))?;
            if !response.is_none() {
                // Nothing of a refused request is run after its answer; the exception is made if sending that fails.
                self.refused = self.solver.take();
                return self.respond(py, object_answer(&response, true)?);
            }
        }
        Err(self.invalid(py))
    }

    #[cold]
    #[inline(never)]
    fn invalid(&mut self, py: Python<'_>) -> PyErr {
        let mut build = || -> PyResult<PyErr> {
            let plan = self.plan(py)?;
            let solver = self.solver()?;
            let body = solver.sent_body(py)?;
            let request = solver.connection.shown(py)?;
            let errors = solver.errors.list(py);
            let size = solver.connection.body_size;
            let error = names::request_invalid(py)?.call1((errors, body, size, &plan.get().operation, request))?;
            Ok(PyErr::from_value(error))
        };
        build().unwrap_or_else(|failure| failure)
    }

    /// An exception: the request has failed, or an async generator ended, before its `yield` or as it should.
    pub(super) fn meet_error(&mut self, py: Python<'_>, error: PyErr) -> PyResult<Next> {
        if self.ending.take() == Some(Ending::Step) && error.is_instance_of::<PyStopAsyncIteration>(py) {
            return self.ended(py);
        }
        let was_entering = self.solver.as_mut().is_some_and(|solver| solver.take_entering());
        let is_stop = was_entering && error.is_instance_of::<PyStopAsyncIteration>(py);
        self.fail(py, if is_stop { no_yield() } else { error })
    }

    /// The request has failed: what is entered is unwound, and the exception handlers of the application answer.
    #[cold]
    #[inline(never)]
    pub(super) fn fail(&mut self, py: Python<'_>, mut error: PyErr) -> PyResult<Next> {
        let mut failed_in_thread = self.offloaded.take().and_then(|offloaded| offloaded.get().abandon(py));
        if let Some(observer) = &self.observer {
            let connection = self.solver.as_mut().map(|solver| solver.connection.request(py)).transpose();
            if let Err(failure) = connection.and_then(|connection| observer.failed(py, &error, connection)) {
                error = failure;
            }
        }
        let has_left = self.client.is_some() && self.leave_client(py)?;
        // Around a route that is called by name are the layers of the application, if nothing goes past them.
        let is_below_layers = self.handle.is_some() && self.application.is_none();
        if self.stage == Stage::Failing || !self.is_native || is_below_layers {
            return Err(error);
        }
        if let Some(refused) = self.refused.take() {
            self.solver = Some(refused);
            self.answered = Some(exception(py, &self.invalid(py)));
            self.solver = None;
        }
        if let Some(answered) = self.answered.take() {
            raised_while_handling(&error, answered.bind(py))?;
        }
        let is_exception = error.is_instance_of::<PyException>(py);
        if matches!(self.stage, Stage::Receiving | Stage::Parsing) && is_exception {
            let plan = self.plan(py)?;
            let request = self.solver()?.connection.shown(py)?;
            let arguments = (exception(py, &error), &plan.get().operation, request);
            error = PyErr::from_value(names::body_failure(py)?.call1(arguments)?);
        }
        let is_sent = matches!(self.stage, Stage::ClosingRequest | Stage::ClosingFiles);
        let has_started = match self.stage {
            Stage::Starting | Stage::Sending | Stage::Background => true,
            _ => is_sent || self.recorder.as_ref().is_some_and(|recorder| recorder.get().has_started()),
        };
        let is_entered = !self.teardown.is_idle(py)?;
        if !is_exception && !is_entered && self.files.is_none() {
            return self.end_failed(py, None, error, has_left);
        }
        if is_exception && !is_entered && !has_started {
            match self.default_answer(py, &error) {
                Ok(None) => {}
                Ok(Some(answer)) => {
                    // Nothing of a failed request is run after its answer.
                    self.solver = None;
                    self.answered = Some(exception(py, &error));
                    return self.respond(py, answer);
                }
                Err(failure) => {
                    raised_while_handling(&failure, error.value(py))?;
                    error = failure;
                }
            }
        }
        // The `Request` that handlers get has the body that was read for it. Where nobody could read one, there is none yet:
        // they read theirs under the limit of the route.
        let is_unread = self.plan.as_ref().is_some_and(|plan| plan.get().body == Reading::Unread);
        let solver = self.solver.as_mut().or(failed_in_thread.as_mut()).filter(|_| self.limit.is_none() || !is_unread);
        let request = match solver.map(|solver| solver.connection.request(py)).transpose() {
            Ok(request) => request,
            Err(failure) => {
                error = failure;
                None
            }
        };
        drop(failed_in_thread);
        self.stage = Stage::Failing;
        let function_exits = self.teardown.drain(py, Lifetime::Function)?;
        let request_exits = self.teardown.drain(py, Lifetime::Request)?;
        let connection_exits = self.teardown.drain(py, Lifetime::Connection)?;
        let failure = (exception(py, &error), has_started, is_sent, function_exits, request_exits, self.is_closing);
        // A generator may turn a cancellation into an exception, which has an answer.
        let channels = (self.channels.scope(py)?, self.channels.receive(py)?, self.channels.send(py)?);
        // A handler of the application's may answer with a stream, whose code runs between its messages.
        take_turns(py)?;
        // Without a plan no route was selected.
        let place = (&self.application, self.plan.is_some(), self.handle.is_some(), self.limit);
        let failing = names::answer_failure(py)?.call1((channels, failure, connection_exits, place, request))?;
        let failing = match self.files.take() {
            None => failing,
            Some(files) => names::close_files_after(py)?.call1((failing, files))?,
        };
        if self.is_closing {
            // It waits to be closed in the place in which the exception is to be raised.
            ffi::send(&failing, py.None().bind(py))?;
            return close(&failing).map(|()| Next::Done(py.None()));
        }
        self.end_failed(py, Some(failing), error, has_left)
    }

    /// The exception handlers by class and by status that are in charge of this request, if any are.
    fn handlers<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match &self.application {
            Some(application) => {
                let plan = application.bind(py).getattr(intern!(py, "_stack_plan"))?;
                plan.getattr(intern!(py, "handlers")).map(Some)
            }
            None => self.channels.scope(py)?.get_item(intern!(py, "starlette.exception_handlers")),
        }
    }

    /// The response of FastAPI's own exception handlers, when they are the ones that would be called.
    fn default_answer(&self, py: Python<'_>, error: &PyErr) -> PyResult<Option<Rendered>> {
        let arguments = (exception(py, error), self.handlers(py)?, self.channels.scope(py)?);
        let response = names::default_answer(py)?.call1(arguments)?;
        if response.is_none() { Ok(None) } else { object_answer(&response, true).map(Some) }
    }
}
