//! One request and its response: the body that has arrived, and how far the answer is.
//!
//! Source: uvicorn, `RequestResponseCycle`.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{Answer, RequestFacts};
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use pyo3::{PyTraverseError, PyVisit};

use super::protocol::HTTPProtocol;
use super::resolved::Resolved;
use super::responding;
use super::waiting::Waiting;
use crate::error::guarded;

/// The body of the request as far as it has arrived and nobody has taken it.
#[derive(Default)]
struct Incoming {
    bytes: Vec<u8>,
    has_ended: bool,
    is_end_taken: bool,
    /// The futures of those who wait for more.
    waiters: Vec<Py<PyAny>>,
}

/// One request and its response.
#[pyclass(frozen, module = "ferroapi._core")]
pub(crate) struct Exchange {
    pub(super) protocol: Py<HTTPProtocol>,
    pub(super) scope: Py<PyDict>,
    request: RequestFacts,
    incoming: Mutex<Incoming>,
    answer: Mutex<Option<Answer>>,
    pub(super) awaits_continue: AtomicBool,
    pub(super) has_started: AtomicBool,
    pub(super) is_complete: AtomicBool,
    pub(super) is_disconnected: AtomicBool,
    pub(super) must_close: AtomicBool,
}

/// What `receive` has to give.
pub(super) enum Received {
    Message(Py<PyAny>),
    Nothing,
}

impl Exchange {
    pub(super) fn new(
        protocol: Py<HTTPProtocol>,
        scope: Py<PyDict>,
        request: RequestFacts,
        awaits_continue: bool,
    ) -> Self {
        Self {
            protocol,
            scope,
            request,
            incoming: Mutex::default(),
            answer: Mutex::default(),
            awaits_continue: AtomicBool::new(awaits_continue),
            has_started: AtomicBool::new(false),
            is_complete: AtomicBool::new(false),
            is_disconnected: AtomicBool::new(false),
            must_close: AtomicBool::new(false),
        }
    }

    fn incoming(&self) -> std::sync::MutexGuard<'_, Incoming> {
        // What a panic leaves there is still a body and a list.
        self.incoming.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Take bytes of the body; return how many wait to be taken.
    pub(super) fn push(&self, data: &[u8]) -> usize {
        if self.is_complete.load(Ordering::Relaxed) {
            return 0;
        }
        let mut incoming = self.incoming();
        incoming.bytes.extend_from_slice(data);
        incoming.bytes.len()
    }

    /// The body is over.
    pub(super) fn end_body(&self) {
        self.incoming().has_ended = true;
    }

    /// Let whoever waits in `receive` look again.
    pub(super) fn wake(&self, py: Python<'_>) -> PyResult<()> {
        let waiters = std::mem::take(&mut self.incoming().waiters);
        for waiter in waiters {
            let waiter = waiter.bind(py);
            if !waiter.call_method0(intern!(py, "done"))?.is_truthy()? {
                waiter.call_method1(intern!(py, "set_result"), (py.None(),))?;
            }
        }
        Ok(())
    }

    /// Wait for what comes next: the future is resolved when there may be something.
    pub(super) fn waiter(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let waiter = self.protocol.borrow(py).event_loop.call_method0(py, intern!(py, "create_future"))?;
        self.incoming().waiters.push(waiter.clone_ref(py));
        Ok(waiter)
    }

    fn is_over(&self) -> bool {
        self.is_complete.load(Ordering::Relaxed) || self.is_disconnected.load(Ordering::Relaxed)
    }

    /// The next message for the application, if there is one.
    pub(super) fn received(&self, py: Python<'_>) -> PyResult<Received> {
        if self.awaits_continue.swap(false, Ordering::Relaxed) {
            HTTPProtocol::say_continue(self.protocol.bind(py))?;
        }
        let message = PyDict::new(py);
        if self.is_over() {
            message.set_item(intern!(py, "type"), intern!(py, "http.disconnect"))?;
            return Ok(Received::Message(message.into_any().unbind()));
        }
        let (body, more) = {
            let mut incoming = self.incoming();
            if incoming.is_end_taken || (incoming.bytes.is_empty() && !incoming.has_ended) {
                drop(incoming);
                HTTPProtocol::resume_reading(self.protocol.bind(py))?;
                return Ok(Received::Nothing);
            }
            incoming.is_end_taken = incoming.has_ended;
            (std::mem::take(&mut incoming.bytes), !incoming.has_ended)
        };
        message.set_item(intern!(py, "type"), intern!(py, "http.request"))?;
        message.set_item(intern!(py, "body"), PyBytes::new(py, &body))?;
        message.set_item(intern!(py, "more_body"), more)?;
        HTTPProtocol::resume_reading(self.protocol.bind(py))?;
        Ok(Received::Message(message.into_any().unbind()))
    }

    /// Write what the application sends.
    ///
    /// # Errors
    /// `RuntimeError`: the message is not the one that may come now, or must not be written.
    pub(super) fn deliver(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<()> {
        if self.is_disconnected.load(Ordering::Relaxed) {
            return Ok(());
        }
        let message = match message.cast::<PyDict>() {
            Ok(message) => message,
            Err(_) => &py.get_type::<PyDict>().call1((message,))?.cast_into::<PyDict>()?,
        };
        let protocol = self.protocol.bind(py);
        if !self.has_started.load(Ordering::Relaxed) {
            let mut out = HTTPProtocol::take_output(protocol);
            let settings = &protocol.get().settings;
            let started = responding::start(self, settings, message, self.request, &mut out);
            self.awaits_continue.store(false, Ordering::Relaxed);
            HTTPProtocol::put_output(protocol, out);
            *self.answer.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(started?);
            return HTTPProtocol::flush_unless_stepping(protocol);
        }
        if self.is_complete.load(Ordering::Relaxed) {
            let kind = responding::kind(message)?;
            return Err(PyRuntimeError::new_err(format!(
                "Unexpected ASGI message '{kind}' sent, after response already completed."
            )));
        }
        let Some(mut answer) = self.answer.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take() else {
            return Err(PyRuntimeError::new_err("Unexpected ASGI message: the response could not be started."));
        };
        let mut out = HTTPProtocol::take_output(protocol);
        let is_last = responding::body(&mut answer, message, &mut out);
        HTTPProtocol::put_output(protocol, out);
        let is_persistent = answer.is_persistent() && !self.must_close.load(Ordering::Relaxed);
        *self.answer.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(answer);
        if is_last? {
            self.is_complete.store(true, Ordering::Relaxed);
            self.wake(py)?;
            return HTTPProtocol::response_complete(protocol, is_persistent);
        }
        HTTPProtocol::flush_unless_stepping(protocol)
    }

    /// The client has gone.
    pub(super) fn disconnect(&self, py: Python<'_>) -> PyResult<()> {
        if !self.is_complete.load(Ordering::Relaxed) {
            self.is_disconnected.store(true, Ordering::Relaxed);
        }
        self.wake(py)
    }
}

#[pymethods]
impl Exchange {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.protocol)?;
        visit.call(&self.scope)?;
        match self.incoming.try_lock() {
            Ok(incoming) => incoming.waiters.iter().try_for_each(|waiter| visit.call(waiter)),
            Err(_) => Ok(()),
        }
    }
}

/// The `receive` of one request.
#[pyclass(frozen, module = "ferroapi._core")]
pub(crate) struct Receive {
    pub(super) exchange: Py<Exchange>,
}

#[pymethods]
impl Receive {
    fn __call__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self.exchange.get().received(py)? {
            Received::Message(message) => Resolved::with(py, message),
            Received::Nothing => Waiting::to_receive(py, self.exchange.clone_ref(py)),
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.exchange)
    }
}

/// The `send` of one request.
#[pyclass(frozen, module = "ferroapi._core")]
pub(crate) struct Send {
    pub(super) exchange: Py<Exchange>,
}

#[pymethods]
impl Send {
    fn __call__(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        guarded(|| {
            let exchange = self.exchange.get();
            if exchange.protocol.get().is_write_paused() && !exchange.is_disconnected.load(Ordering::Relaxed) {
                return Waiting::to_send(py, self.exchange.clone_ref(py), message.clone().unbind());
            }
            exchange.deliver(py, message)?;
            Resolved::nothing(py)
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.exchange)
    }
}
