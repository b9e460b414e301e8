//! The connection between a client and the server: bytes come in, requests begin, bytes go out.
//!
//! Source: uvicorn, `HttpToolsProtocol`, whose answers and attributes these are; `rust/http` reads and frames.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{Connection, Event, Head, Limits, Refusal, RequestHead};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyType};
use pyo3::{PyTraverseError, PyVisit};

use super::application_call::ApplicationCall;
use super::exchange::Exchange;
use super::scope;
use super::settings::Settings;
#[cfg(not(Py_3_12))]
use super::spare::Spare;
use crate::error::guarded;
#[cfg(not(Py_3_12))]
use crate::locked::Locked;
use crate::names;

/// Bytes of a body, of requests that wait, or of an answer, at which the other side is held up.
const HIGH_WATER: usize = 65_536;

/// Requests that are answered in one callback of the event loop before others have their turn.
const MOST_AT_ONCE: usize = 64;

/// Until when something has to happen, else the connection is closed.
#[derive(Clone, Copy, PartialEq)]
enum Deadline {
    /// The next request.
    KeepAlive(Instant),
    /// The rest of a head.
    Head(Instant),
}

impl Deadline {
    fn at(self) -> Instant {
        match self {
            Self::KeepAlive(at) | Self::Head(at) => at,
        }
    }
}

/// Whether bytes are being read, and requests begun.
#[derive(Clone, Copy, PartialEq)]
enum Processing {
    Nothing,
    /// Nothing has arrived behind the request that begins.
    Last,
    /// Another request has: their answers may be written together.
    More,
}

struct State {
    transport: Option<Py<PyAny>>,
    template: Option<Py<PyDict>>,
    /// The hosts whose proxy headers are believed, if the client is one of them.
    trusted_hosts: Option<Py<PyAny>>,
    /// The context of the connection, of which each request gets a copy.
    context: Option<Py<PyAny>>,
    ws_protocol_class: Py<PyAny>,
    reader: Connection,
    /// Bytes that are not read yet.
    pending: Vec<u8>,
    current: Option<Py<Exchange>>,
    output: Vec<u8>,
    /// How many steps are being made, at whose end the output is written.
    steps: usize,
    is_reading_paused: bool,
    processing: Processing,
    is_closing: bool,
    /// Resolved when the client has read enough.
    drained: Option<Py<PyAny>>,
    deadline: Option<Deadline>,
    /// The loop's timer, and the deadline that it was made for.
    timer: Option<(Py<PyAny>, Deadline)>,
}

/// An HTTP/1.1 connection of uvicorn's.
#[pyclass(frozen, subclass, module = "ferroapi._core")]
pub(crate) struct HTTPProtocol {
    pub(super) settings: Settings,
    pub(super) event_loop: Py<PyAny>,
    head_seconds: f64,
    state: Mutex<State>,
    is_write_paused: AtomicBool,
    /// A task that can serve the next request.
    #[cfg(not(Py_3_12))]
    pub(super) spare: Locked<Option<Spare>>,
}

impl HTTPProtocol {
    /// Whether a task that was made without the event loop's debug mode can serve the next request.
    pub(super) fn has_spare(&self) -> bool {
        #[cfg(Py_3_12)]
        return false;
        #[cfg(not(Py_3_12))]
        self.spare.with(|spare| spare.is_some())
    }

    /// Whether more requests may come.
    #[cfg(not(Py_3_12))]
    pub(super) fn is_open(&self) -> bool {
        !self.state().is_closing
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn transport<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state().transport.as_ref().map(|transport| transport.bind(py).clone())
    }

    pub(super) fn is_write_paused(&self) -> bool {
        self.is_write_paused.load(Ordering::Relaxed)
    }

    /// What a request's task runs in.
    pub(super) fn context<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if self.settings.resets_context {
            return names::context(py)?.call0();
        }
        let context = self.state().context.as_ref().map(|context| context.clone_ref(py));
        match context {
            Some(context) => context.into_bound(py).call_method0(intern!(py, "copy")),
            None => names::copy_context(py)?.call0(),
        }
    }

    /// The scope of a request on this connection.
    ///
    /// # Errors
    /// Whatever reading the addresses that a proxy has sent raises.
    pub(super) fn make_scope<'py>(
        &self,
        py: Python<'py>,
        head: &RequestHead,
        state: Option<&Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let (template, trusted_hosts) = {
            let state = self.state();
            let template = state.template.as_ref().map(|template| template.clone_ref(py));
            (template, state.trusted_hosts.as_ref().map(|hosts| hosts.clone_ref(py)))
        };
        let template = template.map_or_else(|| PyDict::new(py), |template| template.into_bound(py));
        let scope = scope::request(&template, &self.settings, head, state)?;
        let is_forwarded = |name: &[u8]| matches!(name, b"x-forwarded-for" | b"x-forwarded-proto");
        if trusted_hosts.is_some() && head.headers().any(|(name, _)| is_forwarded(name)) {
            names::read_proxy_headers(py)?.call1((&scope, trusted_hosts))?;
        }
        Ok(scope)
    }

    // Output.

    pub(super) fn take_output(slf: &Bound<'_, Self>) -> Vec<u8> {
        std::mem::take(&mut slf.get().state().output)
    }

    pub(super) fn put_output(slf: &Bound<'_, Self>, mut output: Vec<u8>) {
        let mut state = slf.get().state();
        // Whatever an iterator of headers may have written meanwhile comes after.
        output.append(&mut state.output);
        state.output = output;
    }

    pub(super) fn hold_output(&self) {
        self.state().steps += 1;
    }

    pub(super) fn release_output(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().state().steps -= 1;
        Self::flush_unless_stepping(slf)
    }

    pub(super) fn flush_unless_stepping(slf: &Bound<'_, Self>) -> PyResult<()> {
        let is_due = {
            let state = slf.get().state();
            (state.steps == 0 && state.processing == Processing::Nothing) || state.output.len() > HIGH_WATER
        };
        if is_due { Self::flush(slf) } else { Ok(()) }
    }

    fn flush(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let (transport, output) = {
            let mut state = slf.get().state();
            if state.output.is_empty() {
                return Ok(());
            }
            let output = PyBytes::new(py, &state.output);
            state.output.clear();
            (state.transport.as_ref().map(|transport| transport.clone_ref(py)), output)
        };
        if let Some(transport) = transport {
            transport.call_method1(py, intern!(py, "write"), (output,))?;
        }
        Ok(())
    }

    /// Write what there is, and close the connection.
    pub(super) fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::flush(slf)?;
        let transport = {
            let mut state = slf.get().state();
            state.deadline = None;
            if std::mem::replace(&mut state.is_closing, true) {
                return Ok(());
            }
            state.transport.as_ref().map(|transport| transport.clone_ref(slf.py()))
        };
        transport.map_or(Ok(()), |transport| transport.call_method0(slf.py(), intern!(slf.py(), "close")).map(drop))
    }

    pub(super) fn say_continue(slf: &Bound<'_, Self>) -> PyResult<()> {
        if slf.get().state().is_closing {
            return Ok(());
        }
        slf.get().state().output.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        Self::flush(slf)
    }

    /// The future that is resolved when the client has read enough; none if it has.
    pub(super) fn drained<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let (py, this) = (slf.py(), slf.get());
        if !this.is_write_paused() {
            return Ok(None);
        }
        if let Some(drained) = &this.state().drained {
            return Ok(Some(drained.bind(py).clone()));
        }
        let drained = this.event_loop.bind(py).call_method0(intern!(py, "create_future"))?;
        this.state().drained = Some(drained.clone().unbind());
        Ok(Some(drained))
    }

    // Input.

    pub(super) fn resume_reading(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::pause(slf, false, intern!(slf.py(), "resume_reading"))
    }

    fn pause_reading(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::pause(slf, true, intern!(slf.py(), "pause_reading"))
    }

    fn pause(slf: &Bound<'_, Self>, paused: bool, method: &Bound<'_, PyString>) -> PyResult<()> {
        if std::mem::replace(&mut slf.get().state().is_reading_paused, paused) == paused {
            return Ok(());
        }
        slf.get().transport(slf.py()).map_or(Ok(()), |transport| transport.call_method0(method).map(drop))
    }

    /// Read what has arrived, beginning requests, up to one that has to wait for the answer before it.
    fn process(slf: &Bound<'_, Self>, data: &[u8]) -> PyResult<()> {
        let (mut reader, mut buffer) = {
            let mut state = slf.get().state();
            if state.processing != Processing::Nothing || state.is_closing {
                state.pending.extend_from_slice(data);
                return Ok(());
            }
            state.processing = Processing::Last;
            let limits = Limits::default();
            (std::mem::replace(&mut state.reader, Connection::new(limits)), std::mem::take(&mut state.pending))
        };
        let is_buffered = !buffer.is_empty();
        if is_buffered {
            buffer.extend_from_slice(data);
        }
        let mut rest = if is_buffered { &buffer[..] } else { data };
        let read = Self::read(slf, &mut reader, &mut rest);
        let left = rest.to_vec();
        let is_reading_head = reader.is_between_requests() && !left.is_empty();
        {
            let mut state = slf.get().state();
            state.processing = Processing::Nothing;
            state.reader = reader;
            let later = std::mem::replace(&mut state.pending, left);
            state.pending.extend(later);
        }
        match read? {
            Read::Refused(refusal) => Self::refuse(slf, refusal),
            Read::Upgraded => Ok(()),
            Read::Busy | Read::More => {
                Self::flush_unless_stepping(slf)?;
                Self::rest(slf, is_reading_head)
            }
            Read::Yield => {
                Self::flush_unless_stepping(slf)?;
                Self::process_soon(slf)
            }
        }
    }

    fn read(slf: &Bound<'_, Self>, reader: &mut Connection, rest: &mut &[u8]) -> PyResult<Read> {
        let py = slf.py();
        let mut fresh: Option<Py<Exchange>> = None;
        let mut begun = 0;
        loop {
            if slf.get().state().is_closing {
                return Ok(Read::Busy);
            }
            if reader.is_between_requests() && slf.get().is_busy() {
                // The next request is read when this one is answered.
                if rest.len() > HIGH_WATER {
                    Self::pause_reading(slf)?;
                }
                return Ok(Read::Busy);
            }
            if begun == MOST_AT_ONCE && reader.is_between_requests() && !rest.is_empty() {
                return Ok(Read::Yield);
            }
            let whole = *rest;
            match reader.next(rest) {
                Err(refusal) => return Ok(Read::Refused(refusal)),
                Ok(Event::Head(head)) => {
                    begun += 1;
                    slf.get().state().deadline = None;
                    if head.upgrade.is_some() && Self::upgrade(slf, &head, whole)? {
                        *rest = &[];
                        return Ok(Read::Upgraded);
                    }
                    fresh = Some(Self::begin(slf, &head)?);
                }
                Ok(Event::Data(data)) => {
                    let Some(exchange) = slf.get().current(py) else { continue };
                    if exchange.get().push(data) > HIGH_WATER {
                        Self::pause_reading(slf)?;
                    }
                    if fresh.is_none() {
                        exchange.get().wake(py)?;
                    }
                }
                Ok(Event::End) => {
                    slf.get().state().processing = if rest.is_empty() { Processing::Last } else { Processing::More };
                    if let Some(exchange) = fresh.take() {
                        exchange.get().end_body();
                        Self::start(slf, exchange)?;
                    } else if let Some(exchange) = slf.get().current(py) {
                        exchange.get().end_body();
                        exchange.get().wake(py)?;
                    }
                }
                Ok(Event::More) => {
                    slf.get().state().processing = Processing::Last;
                    if let Some(exchange) = fresh.take() {
                        Self::start(slf, exchange)?;
                    }
                    return Ok(Read::More);
                }
            }
        }
    }

    fn current(&self, py: Python<'_>) -> Option<Py<Exchange>> {
        self.state().current.as_ref().map(|exchange| exchange.clone_ref(py))
    }

    /// Whether a request is not answered yet.
    fn is_busy(&self) -> bool {
        let state = self.state();
        state.current.as_ref().is_some_and(|exchange| !exchange.get().is_complete.load(Ordering::Relaxed))
    }

    /// A request whose head is read.
    fn begin(slf: &Bound<'_, Self>, head: &Head<'_>) -> PyResult<Py<Exchange>> {
        let py = slf.py();
        let state = slf.get().settings.copy_state(py)?;
        let exchange = Py::new(py, Exchange::new(slf.clone().unbind(), head, state))?;
        slf.get().state().current = Some(exchange.clone_ref(py));
        Ok(exchange)
    }

    fn start(slf: &Bound<'_, Self>, exchange: Py<Exchange>) -> PyResult<()> {
        let (py, settings) = (slf.py(), &slf.get().settings);
        let mut other = None;
        if settings.is_at_limit(py)? {
            settings
                .logger
                .bind(py)
                .call_method1(intern!(py, "warning"), (intern!(py, "Exceeded concurrency limit."),))?;
            other = Some(names::service_unavailable(py)?.clone().unbind());
        }
        ApplicationCall::start(py, exchange, other)
    }

    /// Hand the connection to the WebSocket protocol, if there is one and the client asks for it.
    #[cold]
    fn upgrade(slf: &Bound<'_, Self>, head: &Head<'_>, whole: &[u8]) -> PyResult<bool> {
        let py = slf.py();
        let class = slf.get().state().ws_protocol_class.clone_ref(py);
        let wanted = head.upgrade.unwrap_or_default();
        let settings = &slf.get().settings;
        if class.is_none(py) || !wanted.eq_ignore_ascii_case(b"websocket") {
            names::warn_of_upgrade(py)?.call1((&settings.logger, class.is_none(py)))?;
            return Ok(false);
        }
        Self::flush(slf)?;
        // Not every WebSocket protocol reads names in any case.
        let whole_line = whole.trim_ascii_start();
        let line = whole_line.get(..memchr::memchr(b'\n', whole_line).map_or(0, |end| end + 1)).unwrap_or_default();
        let mut replayed = line.to_vec();
        for (name, value) in &head.headers {
            replayed.extend(name.iter().map(u8::to_ascii_lowercase));
            replayed.extend_from_slice(b": ");
            replayed.extend_from_slice(value);
            replayed.extend_from_slice(b"\r\n");
        }
        replayed.extend_from_slice(b"\r\n");
        replayed.extend_from_slice(whole.get(head.length..).unwrap_or_default());
        let transport = {
            let mut state = slf.get().state();
            state.is_closing = true;
            state.deadline = None;
            state.transport.as_ref().map(|transport| transport.clone_ref(py))
        };
        Self::cancel_timer(slf)?;
        settings.connections.call_method1(py, intern!(py, "discard"), (slf,))?;
        let arguments = (
            &class,
            &settings.config,
            &settings.server_state,
            &settings.application_state,
            transport,
            PyBytes::new(py, &replayed),
        );
        names::upgrade_connection(py)?.call1(arguments)?;
        Ok(true)
    }

    #[cold]
    fn refuse(slf: &Bound<'_, Self>, refusal: Refusal) -> PyResult<()> {
        let (py, settings) = (slf.py(), &slf.get().settings);
        let text = refusal.text();
        settings.logger.bind(py).call_method1(intern!(py, "warning"), (text,))?;
        let defaults = settings.server_state.bind(py).getattr(intern!(py, "default_headers"))?;
        let answer = names::refusal(py)?.call1((refusal.status(), text, defaults))?.cast_into::<PyBytes>()?;
        slf.get().state().output.extend_from_slice(answer.as_bytes());
        Self::close(slf)
    }

    /// An answer is whole.
    pub(super) fn response_complete(slf: &Bound<'_, Self>, is_persistent: bool) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let state = this.settings.server_state.bind(py);
        let total = intern!(py, "total_requests");
        state.setattr(total, state.getattr(total)?.add(1)?)?;
        if !is_persistent {
            return Self::close(slf);
        }
        if this.state().is_closing {
            return Ok(());
        }
        Self::resume_reading(slf)?;
        let (processing, is_idle) = {
            let state = this.state();
            (state.processing, state.pending.is_empty())
        };
        if processing != Processing::More {
            // What the application does after its answer does not hold that up.
            Self::flush(slf)?;
        }
        if processing != Processing::Nothing {
            return Ok(());
        }
        Self::flush_unless_stepping(slf)?;
        if is_idle { Self::rest(slf, false) } else { Self::process_soon(slf) }
    }

    fn process_soon(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let options = PyDict::new(py);
        let context = slf.get().state().context.as_ref().map(|context| context.clone_ref(py));
        if let (Some(context), true) = (context, names::running_loop(py)?.call0()?.is(&slf.get().event_loop)) {
            options.set_item(intern!(py, "context"), context)?;
            let process = slf.getattr(intern!(py, "process_pending"))?;
            slf.get().event_loop.bind(py).call_method(intern!(py, "call_soon"), (process,), Some(&options))?;
            return Ok(());
        }
        Self::process(slf, b"")
    }

    // Deadlines.

    /// Nothing is to be done before more arrives: set the time for that.
    fn rest(slf: &Bound<'_, Self>, is_reading_head: bool) -> PyResult<()> {
        let this = slf.get();
        if this.is_busy() || this.state().is_closing {
            return Ok(());
        }
        let seconds = if is_reading_head { this.head_seconds } else { this.settings.keep_alive_seconds };
        let has_served = this.state().current.is_some();
        if !is_reading_head && !has_served {
            return Ok(());
        }
        let at = Instant::now() + Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(3600));
        let deadline = {
            let mut state = this.state();
            let deadline = match state.deadline {
                // A slow sender gets no more time by sending.
                Some(Deadline::Head(at)) if is_reading_head => Deadline::Head(at),
                _ if is_reading_head => Deadline::Head(at),
                _ => Deadline::KeepAlive(at),
            };
            state.deadline = Some(deadline);
            if state.timer.as_ref().is_some_and(|(_, armed)| armed.at() <= deadline.at()) {
                return Ok(());
            }
            deadline
        };
        Self::cancel_timer(slf)?;
        Self::arm(slf, deadline, seconds)
    }

    fn arm(slf: &Bound<'_, Self>, deadline: Deadline, seconds: f64) -> PyResult<()> {
        let py = slf.py();
        let expire = slf.getattr(intern!(py, "expire"))?;
        let timer = slf.get().event_loop.bind(py).call_method1(intern!(py, "call_later"), (seconds, expire))?;
        slf.get().state().timer = Some((timer.unbind(), deadline));
        Ok(())
    }

    fn cancel_timer(slf: &Bound<'_, Self>) -> PyResult<()> {
        let timer = slf.get().state().timer.take();
        timer.map_or(Ok(()), |(timer, _)| timer.call_method0(slf.py(), intern!(slf.py(), "cancel")).map(drop))
    }
}

enum Read {
    /// More bytes are needed.
    More,
    /// A request is not answered yet.
    Busy,
    /// Others have their turn first.
    Yield,
    Upgraded,
    Refused(Refusal),
}

#[pymethods]
impl HTTPProtocol {
    #[new]
    #[classmethod]
    #[pyo3(signature = (config, server_state, app_state, _loop=None))]
    #[expect(clippy::used_underscore_binding, reason = "uvicorn passes it by this name")]
    fn new(
        class: &Bound<'_, PyType>,
        config: &Bound<'_, PyAny>,
        server_state: &Bound<'_, PyAny>,
        app_state: Py<PyAny>,
        _loop: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let py = config.py();
        let settings = Settings::read(config, server_state, app_state)?;
        let event_loop = match _loop {
            Some(event_loop) => event_loop,
            None => py.import(intern!(py, "asyncio"))?.call_method0(intern!(py, "get_event_loop"))?.unbind(),
        };
        let limits = Limits {
            head: class.getattr(intern!(py, "head_limit"))?.extract()?,
            request_line: class.getattr(intern!(py, "request_line_limit"))?.extract()?,
            headers: class.getattr(intern!(py, "header_limit"))?.extract()?,
        };
        Ok(Self {
            head_seconds: class.getattr(intern!(py, "head_timeout"))?.extract()?,
            event_loop,
            state: Mutex::new(State {
                transport: None,
                template: None,
                trusted_hosts: None,
                context: None,
                ws_protocol_class: config.getattr(intern!(py, "ws_protocol_class"))?.unbind(),
                reader: Connection::new(limits),
                pending: Vec::new(),
                current: None,
                output: Vec::new(),
                steps: 0,
                is_reading_paused: false,
                processing: Processing::Nothing,
                is_closing: false,
                drained: None,
                deadline: None,
                timer: None,
            }),
            is_write_paused: AtomicBool::new(false),
            #[cfg(not(Py_3_12))]
            spare: Locked::default(),
            settings,
        })
    }

    fn connection_made(slf: &Bound<'_, Self>, transport: &Bound<'_, PyAny>) -> PyResult<()> {
        guarded(|| {
            let (py, this) = (slf.py(), slf.get());
            this.settings.connections.call_method1(py, intern!(py, "add"), (slf,))?;
            let (server, client, scheme): (_, Bound<'_, PyAny>, _) =
                names::peers(py)?.call1((transport, &this.settings.logger))?.extract()?;
            let trusted_hosts = match &this.settings.trusted_hosts {
                Some(hosts) if names::is_trusted(py)?.call1((&client, hosts))?.is_truthy()? => {
                    Some(hosts.clone_ref(py))
                }
                _ => None,
            };
            let template = scope::template(py, &this.settings, &scope::Peers { server, client, scheme })?;
            let context = names::copy_context(py)?.call0()?;
            let mut state = this.state();
            state.transport = Some(transport.clone().unbind());
            state.template = Some(template.unbind());
            state.trusted_hosts = trusted_hosts;
            state.context = Some(context.unbind());
            Ok(())
        })
    }

    fn data_received(slf: &Bound<'_, Self>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        guarded(|| {
            {
                let mut state = slf.get().state();
                if matches!(state.deadline, Some(Deadline::KeepAlive(_))) {
                    state.deadline = None;
                }
            }
            match data.cast::<PyBytes>() {
                Ok(data) => Self::process(slf, data.as_bytes()),
                Err(_) => Self::process(slf, names::bytes_of(data)?.as_bytes()),
            }
        })
    }

    /// Go on with what has arrived while a request was being answered.
    fn process_pending(slf: &Bound<'_, Self>) -> PyResult<()> {
        guarded(|| if slf.get().is_busy() { Ok(()) } else { Self::process(slf, b"") })
    }

    #[expect(clippy::unused_self, reason = "asyncio's interface; the answer keeps the connection half open")]
    fn eof_received(&self) {}

    fn connection_lost(slf: &Bound<'_, Self>, error: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        guarded(|| {
            let (py, this) = (slf.py(), slf.get());
            this.settings.connections.call_method1(py, intern!(py, "discard"), (slf,))?;
            let template = this.state().template.as_ref().map(|template| template.clone_ref(py));
            names::connection_lost(py)?.call1((&this.settings.logger, template))?;
            if let Some(exchange) = this.current(py) {
                exchange.get().disconnect(py)?;
            }
            #[cfg(not(Py_3_12))]
            this.spare.replace(None).map_or(Ok(()), |spare| spare.release(py))?;
            Self::resume_writing(slf)?;
            Self::cancel_timer(slf)?;
            let transport = {
                let mut state = this.state();
                state.output.clear();
                state.pending.clear();
                state.deadline = None;
                let was_closing = std::mem::replace(&mut state.is_closing, true);
                state
                    .transport
                    .as_ref()
                    .filter(|_| !was_closing && error.is_none())
                    .map(|transport| transport.clone_ref(py))
            };
            transport.map_or(Ok(()), |transport| transport.call_method0(py, intern!(py, "close")).map(drop))
        })
    }

    /// Begin a graceful shutdown: a request that is being answered is the last one.
    fn shutdown(slf: &Bound<'_, Self>) -> PyResult<()> {
        guarded(|| match slf.get().current(slf.py()) {
            Some(exchange) if !exchange.get().is_complete.load(Ordering::Relaxed) => {
                exchange.get().must_close.store(true, Ordering::Relaxed);
                Ok(())
            }
            _ => Self::close(slf),
        })
    }

    fn pause_writing(&self) {
        self.is_write_paused.store(true, Ordering::Relaxed);
    }

    fn resume_writing(slf: &Bound<'_, Self>) -> PyResult<()> {
        guarded(|| {
            let (py, this) = (slf.py(), slf.get());
            this.is_write_paused.store(false, Ordering::Relaxed);
            let drained = this.state().drained.take();
            match drained {
                Some(drained) if !drained.call_method0(py, intern!(py, "done"))?.is_truthy(py)? => {
                    drained.call_method1(py, intern!(py, "set_result"), (py.None(),)).map(drop)
                }
                _ => Ok(()),
            }
        })
    }

    /// The timer's end: close the connection if its time is over, else wait for the rest.
    fn expire(slf: &Bound<'_, Self>) -> PyResult<()> {
        guarded(|| {
            let (deadline, armed) = {
                let mut state = slf.get().state();
                let armed = state.timer.take().map(|(_, armed)| armed);
                (state.deadline, armed)
            };
            let Some(deadline) = deadline else { return Ok(()) };
            let left = deadline.at().saturating_duration_since(Instant::now());
            if armed != Some(deadline) && !left.is_zero() {
                return Self::arm(slf, deadline, left.as_secs_f64());
            }
            Self::close(slf)
        })
    }

    // What uvicorn's tests and others look at.

    #[getter]
    fn r#loop(&self, py: Python<'_>) -> Py<PyAny> {
        self.event_loop.clone_ref(py)
    }

    #[getter]
    fn get_transport(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state().transport.as_ref().map(|transport| transport.clone_ref(py))
    }

    #[getter]
    fn scope<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        guarded(|| self.current(py).map(|exchange| exchange.get().scope(py)).transpose())
    }

    #[getter]
    fn timeout_keep_alive_task(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let state = self.state();
        let is_idle = matches!(state.deadline, Some(Deadline::KeepAlive(_)));
        state.timer.as_ref().filter(|_| is_idle).map(|(timer, _)| timer.clone_ref(py))
    }

    #[getter]
    fn get_ws_protocol_class(&self, py: Python<'_>) -> Py<PyAny> {
        self.state().ws_protocol_class.clone_ref(py)
    }

    #[setter]
    fn set_ws_protocol_class(&self, class: Py<PyAny>) {
        let before = std::mem::replace(&mut self.state().ws_protocol_class, class);
        drop(before);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.settings.visit(&visit)?;
        visit.call(&self.event_loop)?;
        #[cfg(not(Py_3_12))]
        self.spare.visit(|spare| spare.as_ref().map_or(Ok(()), |spare| spare.visit(&visit)))?;
        let Ok(state) = self.state.try_lock() else { return Ok(()) };
        visit.call(&state.transport)?;
        visit.call(&state.template)?;
        visit.call(&state.trusted_hosts)?;
        visit.call(&state.context)?;
        visit.call(&state.ws_protocol_class)?;
        visit.call(&state.current)?;
        visit.call(&state.drained)?;
        state.timer.as_ref().map_or(Ok(()), |(timer, _)| visit.call(timer))
    }

    fn __clear__(&self) {
        let (transport, current, timer) = {
            let mut state = self.state();
            (state.transport.take(), state.current.take(), state.timer.take())
        };
        drop((transport, current, timer));
        #[cfg(not(Py_3_12))]
        drop(self.spare.replace(None));
    }
}
