//! One request and its response: the body that has arrived, and how far the answer is.
//!
//! Source: uvicorn, `RequestResponseCycle`.

use std::sync::atomic::{AtomicBool, Ordering};

use http::{Answer, Head, RequestHead};
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use pyo3::{PyTraverseError, PyVisit};

use super::protocol::HTTPProtocol;
use super::resolved::Resolved;
use super::responding;
use super::waiting::Waiting;
use crate::connection::{Arrival, method};
use crate::entry::Selection;
use crate::error::guarded;
use crate::locked::Locked;
use crate::names;
use crate::response::{Content, Ready};

/// The body of the request as far as it has arrived and nobody has taken it.
#[derive(Default)]
struct Incoming {
    bytes: Vec<u8>,
    has_ended: bool,
    is_end_taken: bool,
    /// The futures of those who wait for more.
    waiters: Vec<Py<PyAny>>,
}

/// The scope, once somebody has asked for it, or what is still to be put into it.
#[derive(Default)]
struct Made {
    scope: Option<Py<PyDict>>,
    selection: Option<Selection>,
}

/// A task that is cancelled when the client leaves.
struct Watched {
    task: Py<PyAny>,
    has_left: bool,
}

/// One request and its response.
#[pyclass(frozen, module = "ferroapi._core")]
pub(crate) struct Exchange {
    pub(super) protocol: Py<HTTPProtocol>,
    pub(super) head: RequestHead,
    /// The application's state as it was when the request began; none if nothing was in it.
    state: Option<Py<PyAny>>,
    made: Locked<Made>,
    incoming: Locked<Incoming>,
    answer: Locked<Option<Answer>>,
    watched: Locked<Option<Watched>>,
    awaits_continue: AtomicBool,
    pub(super) has_started: AtomicBool,
    pub(super) is_complete: AtomicBool,
    pub(super) is_disconnected: AtomicBool,
    pub(super) must_close: AtomicBool,
}

impl Exchange {
    pub(super) fn new(protocol: Py<HTTPProtocol>, head: &Head<'_>, state: Option<Py<PyAny>>) -> Self {
        let head = RequestHead::new(head);
        Self {
            awaits_continue: AtomicBool::new(head.expects_continue),
            protocol,
            head,
            state,
            made: Locked::default(),
            incoming: Locked::default(),
            answer: Locked::default(),
            watched: Locked::default(),
            has_started: AtomicBool::new(false),
            is_complete: AtomicBool::new(false),
            is_disconnected: AtomicBool::new(false),
            must_close: AtomicBool::new(false),
        }
    }

    /// The scope; it is made when somebody asks first.
    ///
    /// # Errors
    /// Those of making it.
    pub(super) fn scope<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        if let Some(scope) = self.made.with(|made| made.scope.as_ref().map(|scope| scope.clone_ref(py))) {
            return Ok(scope.into_bound(py));
        }
        let scope = self.protocol.get().make_scope(py, &self.head, self.state.as_ref())?;
        let selection = self.made.with(|made| made.selection.take());
        if let Some(selection) = selection {
            selection.apply(&scope)?;
        }
        let replaced = self.made.with(|made| made.scope.replace(scope.clone().unbind()));
        drop(replaced);
        Ok(scope)
    }

    /// Note what the scope gets when it is made; put it there if it is made already.
    ///
    /// # Errors
    /// Those of changing it.
    pub(super) fn select(&self, py: Python<'_>, selection: Selection) -> PyResult<()> {
        if let Some(scope) = self.made.with(|made| made.scope.as_ref().map(|scope| scope.clone_ref(py))) {
            return selection.apply(scope.bind(py));
        }
        let replaced = self.made.with(|made| made.selection.replace(selection));
        drop(replaced);
        Ok(())
    }

    /// Take bytes of the body; return how many wait to be taken.
    pub(super) fn push(&self, data: &[u8]) -> usize {
        if self.is_complete.load(Ordering::Relaxed) {
            return 0;
        }
        self.incoming.with(|incoming| {
            incoming.bytes.extend_from_slice(data);
            incoming.bytes.len()
        })
    }

    /// The body is over.
    pub(super) fn end_body(&self) {
        self.incoming.with(|incoming| incoming.has_ended = true);
    }

    /// Let whoever waits in `receive` look again.
    pub(super) fn wake(&self, py: Python<'_>) -> PyResult<()> {
        let waiters = self.incoming.with(|incoming| std::mem::take(&mut incoming.waiters));
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
        let kept = waiter.clone_ref(py);
        self.incoming.with(|incoming| incoming.waiters.push(kept));
        Ok(waiter)
    }

    fn is_over(&self) -> bool {
        self.is_complete.load(Ordering::Relaxed) || self.is_disconnected.load(Ordering::Relaxed)
    }

    /// What has arrived of the body and nobody has taken.
    ///
    /// # Errors
    /// Those of the transport.
    pub(super) fn arrived<'py>(&self, py: Python<'py>) -> PyResult<Arrival<'py>> {
        if self.awaits_continue.swap(false, Ordering::Relaxed) {
            HTTPProtocol::say_continue(self.protocol.bind(py))?;
        }
        if self.is_over() {
            return Ok(Arrival::Gone);
        }
        let taken = self.incoming.with(|incoming| {
            if incoming.is_end_taken || (incoming.bytes.is_empty() && !incoming.has_ended) {
                return None;
            }
            incoming.is_end_taken = incoming.has_ended;
            Some((std::mem::take(&mut incoming.bytes), incoming.has_ended))
        });
        HTTPProtocol::resume_reading(self.protocol.bind(py))?;
        Ok(taken.map_or(Arrival::Later, |(bytes, is_last)| {
            let chunk = (!bytes.is_empty()).then(|| PyBytes::new(py, &bytes));
            Arrival::Body { chunk, is_last }
        }))
    }

    /// The next message for the application, if there is one.
    ///
    /// # Errors
    /// Those of the transport.
    pub(super) fn received<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let message = PyDict::new(py);
        match self.arrived(py)? {
            Arrival::Later => return Ok(None),
            Arrival::Gone => message.set_item(intern!(py, "type"), intern!(py, "http.disconnect"))?,
            Arrival::Body { chunk, is_last } => {
                message.set_item(intern!(py, "type"), intern!(py, "http.request"))?;
                message.set_item(intern!(py, "body"), chunk.unwrap_or_else(|| PyBytes::new(py, b"")))?;
                message.set_item(intern!(py, "more_body"), !is_last)?;
            }
        }
        Ok(Some(message))
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
            let started = responding::start(self, message, &mut out);
            self.awaits_continue.store(false, Ordering::Relaxed);
            HTTPProtocol::put_output(protocol, out);
            self.answer.replace(Some(started?));
            return HTTPProtocol::flush_unless_stepping(protocol);
        }
        if self.is_complete.load(Ordering::Relaxed) {
            let kind = responding::kind(message)?;
            return Err(PyRuntimeError::new_err(format!(
                "Unexpected ASGI message '{kind}' sent, after response already completed."
            )));
        }
        let Some(mut answer) = self.answer.replace(None) else {
            return Err(PyRuntimeError::new_err("Unexpected ASGI message: the response could not be started."));
        };
        let mut out = HTTPProtocol::take_output(protocol);
        let is_last = responding::body(&mut answer, message, &mut out);
        HTTPProtocol::put_output(protocol, out);
        let is_persistent = answer.is_persistent();
        self.answer.replace(Some(answer));
        if is_last? { self.complete(py, is_persistent) } else { HTTPProtocol::flush_unless_stepping(protocol) }
    }

    /// Write a whole response; tell whether that was possible at once.
    ///
    /// # Errors
    /// `RuntimeError`: it must not be written.
    pub(super) fn write(&self, py: Python<'_>, ready: &Ready) -> PyResult<bool> {
        if self.is_disconnected.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let protocol = self.protocol.bind(py);
        // What has been sent in messages ends, or is refused, in messages; so does what waits for the client.
        if self.has_started.load(Ordering::Relaxed) || protocol.get().is_write_paused() {
            return Ok(false);
        }
        let object;
        let body = match &ready.body {
            Content::Written(bytes) => bytes.as_slice(),
            Content::Object(body) => {
                let body = body.bind(py);
                object = body.cast::<PyBytes>().map_or_else(|_| names::bytes_of(body), |body| Ok(body.clone()))?;
                object.as_bytes()
            }
        };
        let mut out = HTTPProtocol::take_output(protocol);
        let started = responding::start_ready(self, py, ready, body.len(), &mut out);
        self.awaits_continue.store(false, Ordering::Relaxed);
        let written = started.and_then(|mut answer| {
            responding::write(&mut answer, body, true, &mut out)?;
            Ok(answer.is_persistent())
        });
        HTTPProtocol::put_output(protocol, out);
        self.complete(py, written?)?;
        Ok(true)
    }

    fn complete(&self, py: Python<'_>, is_persistent: bool) -> PyResult<()> {
        self.is_complete.store(true, Ordering::Relaxed);
        self.wake(py)?;
        let is_persistent = is_persistent && !self.must_close.load(Ordering::Relaxed);
        HTTPProtocol::response_complete(self.protocol.bind(py), is_persistent)
    }

    /// The client has gone.
    pub(super) fn disconnect(&self, py: Python<'_>) -> PyResult<()> {
        if !self.is_complete.load(Ordering::Relaxed) {
            self.is_disconnected.store(true, Ordering::Relaxed);
        }
        self.cancel_watched(py)?;
        self.wake(py)
    }

    /// Cancel the task that runs when the client leaves; at once if it has left.
    ///
    /// # Errors
    /// Those of the cancellation.
    pub(super) fn watch(&self, py: Python<'_>) -> PyResult<()> {
        let task = names::current_task(py)?.call1((&self.protocol.get().event_loop,))?.unbind();
        let before = self.watched.replace(Some(Watched { task, has_left: false }));
        drop(before);
        if self.is_disconnected.load(Ordering::Relaxed) { self.cancel_watched(py) } else { Ok(()) }
    }

    #[cold]
    fn cancel_watched(&self, py: Python<'_>) -> PyResult<()> {
        let task = self.watched.with(|watched| {
            let watched = watched.as_mut().filter(|watched| !watched.has_left)?;
            watched.has_left = true;
            Some(watched.task.clone_ref(py))
        });
        let Some(task) = task else { return Ok(()) };
        let path = wire::percent::unquote(self.head.path());
        names::cancel_left(py)?.call1((task, method(py, self.head.method()), path.as_ref())).map(drop)
    }

    /// Cancel nothing from here on; tell whether the task was cancelled, and for no other reason.
    ///
    /// # Errors
    /// Those of the task.
    pub(super) fn unwatch(&self, py: Python<'_>) -> PyResult<bool> {
        match self.watched.replace(None) {
            Some(Watched { task, has_left: true }) => names::uncancel(py)?.call1((task,))?.is_truthy(),
            _ => Ok(false),
        }
    }
}

#[pymethods]
impl Exchange {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.protocol)?;
        visit.call(&self.state)?;
        self.made.visit(|made| {
            visit.call(&made.scope)?;
            made.selection.as_ref().map_or(Ok(()), |selection| selection.visit(&visit))
        })?;
        self.watched.visit(|watched| visit.call(watched.as_ref().map(|watched| &watched.task)))?;
        self.incoming.visit(|incoming| incoming.waiters.iter().try_for_each(|waiter| visit.call(waiter)))
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
            Some(message) => Resolved::with(py, message.into_any().unbind()),
            None => Waiting::awaitable(py, self.exchange.clone_ref(py), None),
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
                return Waiting::awaitable(py, self.exchange.clone_ref(py), Some(message.clone().unbind()));
            }
            exchange.deliver(py, message)?;
            Resolved::nothing(py)
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.exchange)
    }
}
