//! The call of the application for one request: the coroutine of the request's own task.
//!
//! Its first step is made at once, in the callback that brought the request, if nothing could tell that from the step of
//! the task: as an eager task where Python has them, by hand before it. Source: uvicorn, `RequestResponseCycle.run_asgi`.

use std::sync::atomic::Ordering;

use pyo3::exceptions::PyStopIteration;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;
use pyo3::{PyTraverseError, PyVisit};

use super::exchange::{Exchange, Receive, Send};
use super::protocol::HTTPProtocol;
use crate::awaitable::{Input, close, exception, iterator, mark_awaited, resume};
use crate::error::guarded;
use crate::ffi::Sent;
use crate::gate::Begun;
use crate::locked::Locked;
use crate::{ffi, names};

enum Stage {
    /// The application is not called yet, or this one in its place.
    Fresh(Option<Py<PyAny>>),
    /// What it returned is being run.
    Running(Py<PyAny>),
    /// The same; it was stepped by hand, and waits for this object since.
    #[cfg_attr(Py_3_12, expect(dead_code, reason = "there are eager tasks"))]
    Stepped {
        running: Py<PyAny>,
        pending: Py<PyAny>,
    },
    Over,
}

/// One call of the application.
#[pyclass(frozen, module = "ferroapi._core")]
pub(crate) struct ApplicationCall {
    exchange: Py<Exchange>,
    stage: Locked<Stage>,
}

impl ApplicationCall {
    /// Call the application for an exchange, or `other` in its place, in a task of its own.
    pub(super) fn start(py: Python<'_>, exchange: Py<Exchange>, other: Option<Py<PyAny>>) -> PyResult<()> {
        let protocol = exchange.get().protocol.clone_ref(py);
        let protocol = protocol.get();
        let context = protocol.context(py)?;
        let call = Bound::new(py, Self { exchange, stage: Locked::new(Stage::Fresh(other)) })?;
        let event_loop = protocol.event_loop.bind(py);
        if !may_step(event_loop)? {
            let task = ffi::in_context(&context, || event_loop.call_method1(intern!(py, "create_task"), (&call,)))?;
            return protocol.settings.keep_task(&task);
        }
        let task = Self::begin(&call, event_loop, &context)?;
        if call.get().stage.with(|stage| matches!(stage, Stage::Over)) {
            Ok(())
        } else {
            protocol.settings.keep_task(&task)
        }
    }

    /// Make the task, which makes its first step in this.
    #[cfg(Py_3_12)]
    fn begin<'py>(
        call: &Bound<'py, Self>,
        event_loop: &Bound<'py, PyAny>,
        context: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = call.py();
        let options = pyo3::types::PyDict::new(py);
        options.set_item(intern!(py, "loop"), event_loop)?;
        options.set_item(intern!(py, "context"), context)?;
        options.set_item(intern!(py, "eager_start"), true)?;
        names::task(py)?.call((call,), Some(&options))
    }

    /// Make the task, and its first step by hand: the step that is scheduled finds what came of it.
    #[cfg(not(Py_3_12))]
    fn begin<'py>(
        call: &Bound<'py, Self>,
        event_loop: &Bound<'py, PyAny>,
        context: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = call.py();
        let options = pyo3::types::PyDict::new(py);
        options.set_item(intern!(py, "context"), context)?;
        let task = event_loop.call_method(intern!(py, "create_task"), (call,), Some(&options))?;
        names::enter_task(py)?.call1((event_loop, &task))?;
        let stepped = ffi::in_context(context, || call.get().step(py, Input::Value(py.None().into_bound(py))));
        names::leave_task(py)?.call1((event_loop, &task))?;
        if let Sent::Yielded(pending) = stepped? {
            mark_awaited(&pending, false)?;
            let running = call.get().stage.with(|stage| match stage {
                Stage::Running(running) => Some(running.clone_ref(py)),
                _ => None,
            });
            if let Some(running) = running {
                drop(call.get().stage.replace(Stage::Stepped { running, pending: pending.unbind() }));
            }
        }
        Ok(task)
    }

    /// Run the application to where it waits next, or to its end, which is seen to here.
    fn step<'py>(&self, py: Python<'py>, input: Input<'py>) -> PyResult<Sent<'py>> {
        let protocol = self.exchange.get().protocol.bind(py);
        let stage = self.stage.replace(Stage::Over);
        if matches!(stage, Stage::Over) {
            return match input {
                Input::Value(value) => Ok(Sent::Returned(value)),
                Input::Error(error) => Err(error),
            };
        }
        protocol.get().hold_output();
        let result = match (stage, input) {
            (Stage::Fresh(other), Input::Value(value)) => self.begin_call(py, other.as_ref()).and_then(|running| {
                let Some(running) = running else { return Ok(Sent::Returned(py.None().into_bound(py))) };
                drop(self.stage.replace(Stage::Running(running.clone().unbind())));
                ffi::send(&running, &value)
            }),
            (Stage::Running(running) | Stage::Stepped { running, .. }, input) => {
                drop(self.stage.replace(Stage::Running(running.clone_ref(py))));
                resume(running.bind(py), input)
            }
            (Stage::Fresh(_) | Stage::Over, Input::Error(error)) => Err(error),
            (Stage::Over, Input::Value(value)) => Ok(Sent::Returned(value)),
        };
        let result = match result {
            Ok(Sent::Yielded(object)) => Ok(Sent::Yielded(object)),
            Ok(Sent::Returned(value)) => self.finish(py, Ok(value)),
            Err(error) => self.finish(py, Err(error)),
        };
        HTTPProtocol::release_output(protocol)?;
        result
    }

    /// Call the application: what is to be awaited, none if it is over already.
    fn begin_call<'py>(&self, py: Python<'py>, other: Option<&Py<PyAny>>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let settings = &self.exchange.get().protocol.get().settings;
        if let (Some(entrance), None) = (&settings.entrance, other) {
            match entrance.begin(py, &self.exchange)? {
                Begun::Refused => {}
                Begun::Over => return Ok(None),
                Begun::Suspended(rest) => return Ok(Some(Bound::new(py, rest)?.into_any())),
            }
        }
        self.call(py, other.unwrap_or(&settings.application)).map(Some)
    }

    fn call<'py>(&self, py: Python<'py>, application: &Py<PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let receive = Bound::new(py, Receive { exchange: self.exchange.clone_ref(py) })?;
        let send = Bound::new(py, Send { exchange: self.exchange.clone_ref(py) })?;
        iterator(application.bind(py).call1((self.exchange.get().scope(py)?, receive, send))?)
    }

    /// The application has returned or failed: whatever is missing of the response ends the connection.
    fn finish<'py>(&self, py: Python<'py>, result: PyResult<Bound<'py, PyAny>>) -> PyResult<Sent<'py>> {
        drop(self.stage.replace(Stage::Over));
        let exchange = self.exchange.get();
        let protocol = exchange.protocol.bind(py);
        let is_disconnected = exchange.is_disconnected.load(Ordering::Relaxed);
        let (has_started, is_complete) =
            (exchange.has_started.load(Ordering::Relaxed), exchange.is_complete.load(Ordering::Relaxed));
        let problem = match &result {
            Err(error) => Some((intern!(py, "Exception in ASGI application\n"), exception(py, error))),
            Ok(value) if !value.is_none() => {
                Some((intern!(py, "ASGI callable should return None, but returned '%s'."), value.clone().unbind()))
            }
            Ok(_) if !has_started && !is_disconnected => {
                Some((intern!(py, "ASGI callable returned without starting response."), py.None()))
            }
            Ok(_) if !is_complete && !is_disconnected => {
                Some((intern!(py, "ASGI callable returned without completing response."), py.None()))
            }
            Ok(_) => None,
        };
        if let Some((text, detail)) = problem {
            let is_value = result.is_ok_and(|value| !value.is_none());
            self.report(py, text, detail, is_value)?;
            if has_started || is_value {
                HTTPProtocol::close(protocol)?;
            } else {
                self.answer_500(py)?;
            }
        }
        Ok(Sent::Returned(py.None().into_bound(py)))
    }

    #[cold]
    fn report(&self, py: Python<'_>, text: &Bound<'_, PyString>, detail: Py<PyAny>, is_value: bool) -> PyResult<()> {
        let logger = self.exchange.get().protocol.get().settings.logger.bind(py);
        if is_value {
            logger.call_method1(intern!(py, "error"), (text, detail))?;
            return Ok(());
        }
        let options = pyo3::types::PyDict::new(py);
        if !detail.is_none(py) {
            options.set_item(intern!(py, "exc_info"), detail)?;
        }
        logger.call_method(intern!(py, "error"), (text,), Some(&options))?;
        Ok(())
    }

    #[cold]
    fn answer_500(&self, py: Python<'_>) -> PyResult<()> {
        for message in names::internal_error_messages(py)?.call0()?.try_iter()? {
            self.exchange.get().deliver(py, &message?)?;
        }
        Ok(())
    }

    fn advance<'py>(&self, py: Python<'py>, input: Input<'py>) -> PyResult<Sent<'py>> {
        let stepped = self.stage.with(|stage| match stage {
            Stage::Stepped { running, pending } => Some((running.clone_ref(py), pending.clone_ref(py))),
            _ => None,
        });
        let Some((running, pending)) = stepped else { return self.step(py, input) };
        drop(self.stage.replace(Stage::Running(running)));
        let pending = pending.into_bound(py);
        if pending.is_none() {
            // A bare yield lets those have their turn that the application has scheduled: they come after this step.
            return if let Input::Value(_) = input { Ok(Sent::Yielded(pending)) } else { self.step(py, input) };
        }
        if let Input::Error(error) = &input {
            // Cancelled before the task could wait for this: it does now, and the cancellation wakes it.
            let message = exception(py, error).bind(py).getattr(intern!(py, "args"))?;
            let message = message.get_item(0).ok();
            if !pending.call_method1(intern!(py, "cancel"), (message,))?.is_truthy()? {
                return self.step(py, input);
            }
        }
        mark_awaited(&pending, true)?;
        Ok(Sent::Yielded(pending))
    }
}

/// Whether a first step can be made here: the event loop runs in this thread, no task does, and no one makes other tasks.
fn may_step(event_loop: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = event_loop.py();
    Ok(names::running_loop(py)?.call0()?.is(event_loop)
        && names::running_task(py)?.call1((event_loop,))?.is_none()
        && event_loop.call_method0(intern!(py, "get_task_factory"))?.is_none()
        && !event_loop.call_method0(intern!(py, "get_debug"))?.is_truthy()?)
}

#[pymethods]
impl ApplicationCall {
    #[classattr]
    fn __qualname__() -> &'static str {
        "RequestResponseCycle.run_asgi"
    }

    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        guarded(|| match self.advance(py, Input::Value(py.None().into_bound(py)))? {
            Sent::Yielded(object) => Ok(Some(object)),
            Sent::Returned(_) => Ok(None),
        })
    }

    fn send<'py>(&self, py: Python<'py>, value: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        guarded(|| match self.advance(py, Input::Value(value))? {
            Sent::Yielded(object) => Ok(object),
            Sent::Returned(_) => Err(PyStopIteration::new_err(())),
        })
    }

    #[pyo3(signature = (kind, value=None, _traceback=None))]
    fn throw<'py>(
        &self,
        py: Python<'py>,
        kind: Bound<'py, PyAny>,
        value: Option<Bound<'py, PyAny>>,
        _traceback: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        guarded(|| match self.advance(py, Input::thrown(kind, value)?)? {
            Sent::Yielded(object) => Ok(object),
            Sent::Returned(_) => Err(PyStopIteration::new_err(())),
        })
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        guarded(|| {
            let stage = self.stage.replace(Stage::Over);
            match stage {
                Stage::Running(running) | Stage::Stepped { running, .. } => close(running.bind(py)),
                Stage::Fresh(_) | Stage::Over => Ok(()),
            }
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.exchange)?;
        self.stage.visit(|stage| match stage {
            Stage::Fresh(other) => visit.call(other),
            Stage::Running(running) => visit.call(running),
            Stage::Stepped { running, pending } => {
                visit.call(running)?;
                visit.call(pending)
            }
            Stage::Over => Ok(()),
        })
    }
}
