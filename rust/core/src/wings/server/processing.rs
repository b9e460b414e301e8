//! What arrives on a connection: requests begin, one after the other, and their bodies are handed on.

use std::sync::atomic::Ordering;

use http::{Connection, Event, Head, Limits, Refusal};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use super::state::{ApplicationCall, Exchange, HIGH_WATER, HTTPProtocol, Processing, State};
use crate::error::guarded;
use crate::{ffi, names};

/// Requests that are answered in one callback of the event loop before others have their turn.
const MOST_AT_ONCE: usize = 64;

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

impl HTTPProtocol {
    pub(super) fn resume_reading(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::pause(slf, false, intern!(slf.py(), "resume_reading"))
    }

    fn pause_reading(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::pause(slf, true, intern!(slf.py(), "pause_reading"))
    }

    fn pause(slf: &Bound<'_, Self>, paused: bool, method: &Bound<'_, PyString>) -> PyResult<()> {
        let was_paused =
            slf.get().state.with(slf.py(), |state| std::mem::replace(&mut state.is_reading_paused, paused));
        if was_paused == paused {
            return Ok(());
        }
        slf.get().transport(slf.py()).map_or(Ok(()), |transport| transport.call_method0(method).map(drop))
    }

    /// Read what has arrived, beginning requests, up to one that has to wait for the answer before it.
    pub(super) fn process(slf: &Bound<'_, Self>, data: &[u8]) -> PyResult<()> {
        let begun = slf.get().state.with(slf.py(), |state| {
            if state.is_closing {
                return None;
            }
            if state.processing != Processing::Nothing {
                state.pending.extend_from_slice(data);
                return None;
            }
            state.processing = Processing::Last;
            let limits = Limits::default();
            Some((std::mem::replace(&mut state.reader, Connection::new(limits)), std::mem::take(&mut state.pending)))
        });
        let Some((mut reader, mut buffer)) = begun else { return Ok(()) };
        let is_buffered = !buffer.is_empty();
        if is_buffered {
            buffer.extend_from_slice(data);
        }
        let mut rest = if is_buffered { &buffer[..] } else { data };
        let read = guarded(|| Self::read(slf, &mut reader, &mut rest));
        let left = rest.to_vec();
        let is_reading_head = reader.is_between_requests() && !left.is_empty();
        slf.get().state.with(slf.py(), |state| {
            state.processing = Processing::Nothing;
            state.reader = reader;
            let later = std::mem::replace(&mut state.pending, left);
            state.pending.extend(later);
        });
        match read? {
            Read::Refused(refusal) => Self::refuse(slf, refusal),
            Read::Upgraded => Ok(()),
            Read::Busy | Read::More => {
                Self::flush_unless_stepping(slf)?;
                if slf.get().state.with(slf.py(), |state| state.is_ending && !state.is_busy()) {
                    return Self::close(slf);
                }
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
            let (is_closing, is_busy) = slf.get().state.with(py, |state| (state.is_closing, state.is_busy()));
            if is_closing {
                return Ok(Read::Busy);
            }
            if reader.is_between_requests() && is_busy {
                // The next request is read when this one is answered; until then, its client has not left by sending no more.
                if !rest.is_empty() {
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
                    slf.get().state.with(slf.py(), |state| state.deadline = None);
                    if head.upgrade.is_some() && Self::upgrade(slf, &head, whole, reader)? {
                        *rest = &[];
                        return Ok(Read::Upgraded);
                    }
                    fresh = Some(Self::begin(slf, head)?);
                }
                Ok(Event::Data(data)) => {
                    let Some(exchange) = slf.get().current(py) else { continue };
                    if exchange.get().push(py, data) > HIGH_WATER {
                        Self::pause_reading(slf)?;
                    }
                    if fresh.is_none() {
                        exchange.get().wake(py)?;
                    }
                }
                Ok(Event::End) => {
                    let is_last = rest.is_empty();
                    let processing = if is_last { Processing::Last } else { Processing::More };
                    let is_ending = slf.get().state.with(slf.py(), |state| {
                        state.processing = processing;
                        state.is_ending
                    });
                    if let Some(exchange) = fresh.take() {
                        if is_ending && is_last {
                            exchange.get().must_close.store(true, Ordering::Relaxed);
                        }
                        exchange.get().end_body(py);
                        Self::start(slf, exchange)?;
                    } else if let Some(exchange) = slf.get().current(py) {
                        exchange.get().end_body(py);
                        exchange.get().wake(py)?;
                    }
                }
                Ok(Event::More) => {
                    slf.get().state.with(slf.py(), |state| state.processing = Processing::Last);
                    if let Some(exchange) = fresh.take() {
                        Self::start(slf, exchange)?;
                    }
                    return Ok(Read::More);
                }
            }
        }
    }

    pub(super) fn current(&self, py: Python<'_>) -> Option<Py<Exchange>> {
        self.state.with(py, |state| state.current.as_ref().map(|exchange| exchange.clone_ref(py)))
    }

    /// Whether a request is not answered yet.
    pub(super) fn is_busy(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.is_busy())
    }

    /// A request whose head is read: in the object of the one before, if nobody else has that.
    fn begin(slf: &Bound<'_, Self>, head: Head<'_>) -> PyResult<Py<Exchange>> {
        let py = slf.py();
        let state = slf.get().settings.copy_state(py)?;
        let make = |head, state| Py::new(py, Exchange::new(slf.clone().unbind(), head, state));
        let (exchange, before, last) = match slf.get().state.with(py, |state| state.current.take()) {
            None => (make(head, state)?, None, None),
            Some(mut last) => match ffi::sole_value(py, &mut last, Py::get) {
                None => (make(head, state)?, None, Some(last)),
                Some(value) => {
                    let before = value.become_next(py, head, state);
                    (last, Some(before), None)
                }
            },
        };
        let current = exchange.clone_ref(py);
        let replaced = slf.get().state.with(py, |state| state.current.replace(current));
        drop((replaced, before, last));
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
    fn upgrade(slf: &Bound<'_, Self>, head: &Head<'_>, whole: &[u8], reader: &mut Connection) -> PyResult<bool> {
        let py = slf.py();
        let class = slf.get().state.with(slf.py(), |state| state.ws_protocol_class.clone_ref(py));
        let wanted = head.upgrade.unwrap_or_default();
        let settings = &slf.get().settings;
        if class.is_none(py) || !wanted.eq_ignore_ascii_case(b"websocket") {
            names::warn_of_upgrade(py)?.call1((&settings.logger, class.is_none(py)))?;
            return Ok(false);
        }
        Self::flush(slf)?;
        // Not every WebSocket protocol reads names in any case.
        let whole_line = whole.trim_ascii_start();
        let line = whole_line.get(..memchr::memchr(b'\n', whole_line).unwrap_or(0)).unwrap_or_default();
        // As uvicorn does, whatever version the client has named: a proxy may speak an older one than the client.
        let target_end = memchr::memrchr(b' ', line).map_or(0, |end| end + 1);
        let mut replayed = [line.get(..target_end).unwrap_or_default(), b"HTTP/1.1\r\n"].concat();
        for (name, value) in head.headers() {
            replayed.extend(name.iter().map(u8::to_ascii_lowercase));
            replayed.extend_from_slice(b": ");
            replayed.extend_from_slice(value);
            replayed.extend_from_slice(b"\r\n");
        }
        replayed.extend_from_slice(b"\r\n");
        // What has arrived of a body is none of the new protocol's; what is no body is left to that protocol, too.
        let mut rest = whole.get(head.bytes.len()..).unwrap_or_default();
        while let Ok(Event::Data(_)) = reader.next(&mut rest) {}
        replayed.extend_from_slice(rest);
        slf.get().state.with(slf.py(), State::close);
        Self::cancel_timer(slf)?;
        settings.connections.call_method1(py, intern!(py, "discard"), (slf,))?;
        let arguments = (
            &class,
            &settings.config,
            &settings.server_state.object,
            &settings.application_state,
            slf.get().transport(py),
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
        let defaults = settings.server_state.default_headers(py)?;
        let answer = names::refusal(py)?.call1((refusal.status(), text, defaults))?.cast_into::<PyBytes>()?;
        Self::write(slf, answer.as_bytes());
        Self::close(slf)
    }

    /// An answer is whole.
    pub(super) fn response_complete(slf: &Bound<'_, Self>, is_persistent: bool) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        this.settings.server_state.count_request(py)?;
        if !is_persistent {
            return Self::close(slf);
        }
        if !this.is_open(py) {
            return Ok(());
        }
        Self::resume_reading(slf)?;
        let (processing, is_idle) = this.state.with(py, |state| (state.processing, state.pending.is_empty()));
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
        let context =
            slf.get().state.with(slf.py(), |state| state.context.as_ref().map(|context| context.clone_ref(py)));
        if let (Some(context), true) = (context, names::running_loop(py)?.call0()?.is(&slf.get().event_loop)) {
            options.set_item(intern!(py, "context"), context)?;
            let process = slf.getattr(intern!(py, "process_pending"))?;
            slf.get().event_loop.bind(py).call_method(intern!(py, "call_soon"), (process,), Some(&options))?;
            return Ok(());
        }
        Self::process(slf, b"")
    }
}
