//! The answer on its way to the client: written at once, message by message, or by a response object.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::{Driver, Stage};
use crate::answer::Rendered;
use crate::awaitable::Next;
use crate::error::Error;
use crate::names;
use crate::plan::Render;
use crate::send::{Pause, deliver, take_turns};
use crate::stream::Recorder;
use crate::teardown::Lifetime;

impl Driver {
    pub(super) fn close_function_scope(&mut self, py: Python<'_>) -> PyResult<Next> {
        self.stage = Stage::ClosingFunction;
        if let Some(closing) = self.close_next(py, Lifetime::Function)? {
            return Ok(closing);
        }
        match self.answer.take() {
            Some(Rendered::Ready(ready)) => {
                self.stage = Stage::Starting;
                if self.channels.write(py, &ready)? {
                    self.stage = Stage::Sending;
                    return self.run_background(py);
                }
                let message = ready.start(py)?;
                self.ready = Some(ready);
                self.deliver(py, &message)
            }
            Some(Rendered::Object(response)) => self.call_response(py, &response),
            Some(Rendered::Build(_) | Rendered::Serialize(_)) | None => Err(Error::Resumed.into()),
        }
    }

    pub(super) fn call_response(&mut self, py: Python<'_>, response: &Py<PyAny>) -> PyResult<Next> {
        self.stage = Stage::Calling;
        if let Some(solver) = &mut self.solver {
            // The response object runs the background tasks itself.
            solver.background = None;
        }
        let (scope, receive) = (self.channels.scope(py)?, self.channels.receive(py)?);
        let recorder = Py::new(py, Recorder::new(self.channels.send(py)?.unbind()))?;
        self.recorder = Some(recorder.clone_ref(py));
        let class = response.bind(py).get_type();
        let is_taken_as_it_is = self.plan.as_ref().is_some_and(|plan| {
            matches!(
                plan.get().answer.get().render,
                Render::Response { sends_stream: false } | Render::Stream { is_events: true }
            )
        });
        let is_scoped = self.teardown.scope(py).is_some();
        let call = intern!(py, "__call__");
        if is_scoped || !class.getattr(call)?.is(names::response(py)?.getattr(call)?) {
            // Code of the application's runs between messages, or a task that was started in a dependency: it may end
            // what is further out between any two turns of the event loop.
            take_turns(py)?;
        }
        if !is_scoped && !is_taken_as_it_is && class.is(names::streaming_response(py)?) {
            return names::send_stream(py)?
                .call1((response, scope, receive, recorder))
                .map(Bound::unbind)
                .map(Next::Await);
        }
        response.call1(py, (scope, receive, recorder)).map(Next::Await)
    }

    pub(super) fn send_body(&mut self, py: Python<'_>) -> PyResult<Next> {
        let Some(ready) = &self.ready else { return Err(Error::Resumed.into()) };
        self.stage = Stage::Sending;
        let message = ready.body(py)?;
        self.deliver(py, &message)
    }

    fn deliver(&mut self, py: Python<'_>, message: &Bound<'_, PyDict>) -> PyResult<Next> {
        let pause = match self.stage {
            _ if self.teardown.scope(py).is_some() => Pause::Always,
            Stage::Starting => Pause::IfAnyIsCancelled,
            _ => Pause::IfKnown,
        };
        match deliver(&self.channels.send(py)?, message, pause)? {
            Some(awaitable) => Ok(Next::Await(awaitable)),
            None => self.advance(py, py.None().into_bound(py)),
        }
    }

    pub(super) fn run_background(&mut self, py: Python<'_>) -> PyResult<Next> {
        match self.solver.as_mut().and_then(|solver| solver.background.take()) {
            None => self.finish(py),
            Some(tasks) => {
                self.stage = Stage::Background;
                tasks.call0(py).map(Next::Await)
            }
        }
    }
}
