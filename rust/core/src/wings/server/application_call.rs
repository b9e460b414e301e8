//! The call of the application for one request: the coroutine of the request's own task.
//!
//! Its first step is made at once, in the callback that brought the request, if nothing could tell that from the step of
//! the task: as an eager task, or by hand in a task that may serve again (`spare`). Source: uvicorn,
//! `RequestResponseCycle.run_asgi`.

use std::sync::atomic::Ordering;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;
use pyo3::{PyTraverseError, PyVisit};

use super::channels::{Exchanges, Receive, Send};
use super::settings::Settings;
use super::state::{ApplicationCall, CallStage, Exchange, HTTPProtocol};
use crate::awaitable::{Input, close, exception, iterator, mark_awaited, resume, yielded};
use crate::connection::Channels;
use crate::entrance::Begun;
use crate::error::{Error, guarded};
use crate::ffi::Sent;
use crate::ffi::locked::Locked;
use crate::{ffi, names};

impl ApplicationCall {
    /// Call the application for an exchange, or `other` in its place, in a task of its own.
    pub(super) fn start(py: Python<'_>, exchange: Py<Exchange>, other: Option<Py<PyAny>>) -> PyResult<()> {
        let protocol = exchange.get().protocol.bind(py).clone();
        let event_loop = protocol.get().event_loop.bind(py);
        if !may_step(py, protocol.get())? {
            let context = protocol.get().context(py)?;
            let call = Bound::new(py, Self::of(exchange, other))?;
            let task = ffi::in_context(&context, || event_loop.call_method1(intern!(py, "create_task"), (&call,)))?;
            return protocol.get().settings.keep_task(&task);
        }
        #[cfg(reused_tasks)]
        return Self::begin(py, &protocol, exchange, other);
        #[cfg(not(reused_tasks))]
        Self::begin_eagerly(py, protocol.get(), exchange, other).map(drop)
    }

    pub(super) fn of(exchange: Py<Exchange>, other: Option<Py<PyAny>>) -> Self {
        Self {
            exchange: Locked::new(Some(exchange)),
            stage: Locked::new(CallStage::Fresh(other)),
            parked: Locked::default(),
        }
    }

    fn exchange<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Exchange>> {
        let exchange = self.exchange.with(py, |exchange| exchange.as_ref().map(|exchange| exchange.bind(py).clone()));
        exchange.ok_or_else(|| Error::Resumed.into())
    }

    /// Make the task, which makes its first step in this; tell whether that was its last one.
    #[cfg(Py_3_12)]
    pub(super) fn begin_eagerly(
        py: Python<'_>,
        protocol: &HTTPProtocol,
        exchange: Py<Exchange>,
        other: Option<Py<PyAny>>,
    ) -> PyResult<bool> {
        let call = Bound::new(py, Self::of(exchange, other))?;
        let options = pyo3::types::PyDict::new(py);
        options.set_item(intern!(py, "loop"), &protocol.event_loop)?;
        options.set_item(intern!(py, "context"), protocol.context(py)?)?;
        let is_alone = names::current_task(py)?.call1((&protocol.event_loop,))?.is_none();
        options.set_item(intern!(py, "eager_start"), is_alone)?;
        let task = names::task(py)?.call((&call,), Some(&options))?;
        let is_over = call.get().stage.with(py, |stage| matches!(stage, CallStage::Over));
        if !is_over {
            protocol.settings.keep_task(&task)?;
        }
        Ok(is_over)
    }

    /// Run the application to where it waits next, or to its end, which is seen to here.
    pub(super) fn step<'py>(&self, py: Python<'py>, input: Input<'py>) -> PyResult<Sent<'py>> {
        let stage = self.stage.replace(py, CallStage::Over);
        if matches!(stage, CallStage::Over | CallStage::Idle) {
            return match input {
                Input::Value(_) => Ok(Sent::Returned(py.None().into_bound(py))),
                Input::Error(error) => Err(error),
            };
        }
        let exchange = self.exchange(py)?;
        let protocol = exchange.get().protocol.bind(py);
        protocol.get().hold_output(py);
        // Whatever comes out of it is answered, and the output let go: a panic, too.
        let result = guarded(|| match (stage, input) {
            (CallStage::Fresh(other), Input::Value(value)) => {
                begin_call(py, &exchange, other.as_ref()).and_then(|running| {
                    let Some(running) = running else { return Ok(Sent::Returned(py.None().into_bound(py))) };
                    drop(self.stage.replace(py, CallStage::Running(running.clone().unbind())));
                    ffi::send(&running, &value)
                })
            }
            (CallStage::Running(running) | CallStage::Stepped { running, .. }, input) => {
                drop(self.stage.replace(py, CallStage::Running(running.clone_ref(py))));
                resume(running.bind(py), input)
            }
            (CallStage::Fresh(_) | CallStage::Over | CallStage::Idle, Input::Error(error)) => Err(error),
            (CallStage::Over | CallStage::Idle, Input::Value(value)) => Ok(Sent::Returned(value)),
        });
        let result = match result {
            Ok(Sent::Yielded(object)) => Ok(Sent::Yielded(object)),
            Ok(Sent::Returned(value)) => self.finish(py, &exchange, Ok(value)),
            Err(error) => self.finish(py, &exchange, Err(error)),
        };
        HTTPProtocol::release_output(protocol)?;
        result
    }

    /// The application has returned or failed: whatever is missing of the response ends the connection.
    fn finish<'py>(
        &self,
        py: Python<'py>,
        exchange: &Bound<'py, Exchange>,
        result: PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<Sent<'py>> {
        drop(self.stage.replace(py, CallStage::Over));
        drop(self.exchange.replace(py, None).map(|exchange| exchange.into_bound(py)));
        let exchange = exchange.get();
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
            report(&protocol.get().settings, text, detail, is_value)?;
            if has_started || is_value {
                HTTPProtocol::close(protocol)?;
            } else {
                answer_500(py, exchange)?;
            }
        }
        Ok(Sent::Returned(py.None().into_bound(py)))
    }

    fn advance<'py>(&self, py: Python<'py>, input: Input<'py>) -> PyResult<Sent<'py>> {
        #[cfg(reused_tasks)]
        if let (Input::Value(_), true) = (&input, self.stage.with(py, |stage| matches!(stage, CallStage::Idle))) {
            return self.park(py);
        }
        let stepped = self.stage.with(py, |stage| match stage {
            CallStage::Stepped { running, pending } => Some((running.clone_ref(py), pending.clone_ref(py))),
            _ => None,
        });
        let Some((running, pending)) = stepped else { return self.step(py, input) };
        drop(self.stage.replace(py, CallStage::Running(running)));
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

/// Call the application: what is to be awaited, none if it is over already.
fn begin_call<'py>(
    py: Python<'py>,
    exchange: &Bound<'py, Exchange>,
    other: Option<&Py<PyAny>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let settings = &exchange.get().protocol.get().settings;
    if let (Some(entrance), None) = (&settings.entrance, other) {
        let channels = Channels::Direct { request: exchange.clone().unbind().into_any(), server: &Exchanges };
        match entrance.begin(py, channels)? {
            Begun::Refused => {}
            Begun::Over => return Ok(None),
            Begun::Suspended(rest) => return Ok(Some(Bound::new(py, rest)?.into_any())),
        }
    }
    let receive = Bound::new(py, Receive { exchange: exchange.clone().unbind() })?;
    let send = Bound::new(py, Send { exchange: exchange.clone().unbind() })?;
    let application = other.unwrap_or(&settings.application).bind(py);
    iterator(application.call1((exchange.get().scope(py)?, receive, send))?).map(Some)
}

#[cold]
fn report(settings: &Settings, text: &Bound<'_, PyString>, detail: Py<PyAny>, is_value: bool) -> PyResult<()> {
    let py = text.py();
    let logger = settings.logger.bind(py);
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
fn answer_500(py: Python<'_>, exchange: &Exchange) -> PyResult<()> {
    for message in names::internal_error_messages(py)?.call0()?.try_iter()? {
        exchange.deliver(py, &message?)?;
    }
    Ok(())
}

/// Whether a first step can be made here: the event loop runs in this thread, and no one makes other tasks, or looks at
/// each step.
fn may_step(py: Python<'_>, protocol: &HTTPProtocol) -> PyResult<bool> {
    let event_loop = protocol.event_loop.bind(py);
    let has_task_factory = || -> PyResult<bool> {
        let Some(get) = &protocol.get_task_factory else { return Ok(true) };
        Ok(!get.call0(py)?.is_none(py))
    };
    Ok(names::running_loop(py)?.call0()?.is(event_loop)
        && !has_task_factory()?
        && (protocol.has_spare(py) || !event_loop.call_method0(intern!(py, "get_debug"))?.is_truthy()?))
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
        guarded(|| self.advance(py, Input::Value(value)).and_then(yielded))
    }

    #[pyo3(signature = (kind, value=None, _traceback=None))]
    fn throw<'py>(
        &self,
        py: Python<'py>,
        kind: Bound<'py, PyAny>,
        value: Option<Bound<'py, PyAny>>,
        _traceback: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        guarded(|| self.advance(py, Input::thrown(kind, value)?).and_then(yielded))
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        guarded(|| {
            let stage = self.stage.replace(py, CallStage::Over);
            match stage {
                CallStage::Running(running) | CallStage::Stepped { running, .. } => close(running.bind(py)),
                CallStage::Fresh(_) | CallStage::Over | CallStage::Idle => Ok(()),
            }
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.exchange.visit(&visit, |exchange| visit.call(exchange))?;
        self.parked.visit(&visit, |parked| visit.call(parked))?;
        self.stage.visit(&visit, |stage| match stage {
            CallStage::Fresh(other) => visit.call(other),
            CallStage::Running(running) => visit.call(running),
            CallStage::Stepped { running, pending } => {
                visit.call(running)?;
                visit.call(pending)
            }
            CallStage::Over | CallStage::Idle => Ok(()),
        })
    }
}
