//! The connection between a client and the server: bytes come in, requests begin, bytes go out.
//!
//! Source: uvicorn, `HttpToolsProtocol`, whose answers and attributes these are; `rust/http` reads and frames.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use http::{Connection, Limits, RequestHead};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyType};
use pyo3::{PyTraverseError, PyVisit};

use super::scope;
use super::settings::{Settings, time};
use super::state::{Deadline, HTTPProtocol, Processing, State};
use crate::error::guarded;
use crate::ffi::locked::Locked;
use crate::{ffi, names};

impl HTTPProtocol {
    /// Whether a task that was made without the event loop's debug mode can serve the next request.
    #[cfg_attr(not(reused_tasks), expect(clippy::unused_self, reason = "no connection keeps a task there"))]
    pub(super) fn has_spare(&self, py: Python<'_>) -> bool {
        #[cfg(not(reused_tasks))]
        {
            let _ = py;
            false
        }
        #[cfg(reused_tasks)]
        self.spare.with(py, |spare| spare.is_some())
    }

    /// Whether more requests may come.
    pub(super) fn is_open(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| !state.is_closing)
    }

    pub(super) fn transport<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state.with(py, |state| state.transport.as_ref().map(|transport| transport.bind(py).clone()))
    }

    pub(super) fn is_write_paused(&self) -> bool {
        self.is_write_paused.load(Ordering::Relaxed)
    }

    /// What a request's task runs in.
    pub(super) fn context<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if self.settings.resets_context {
            return names::context(py)?.call0();
        }
        let context = self.state.with(py, |state| state.context.as_ref().map(|context| context.clone_ref(py)));
        match context {
            Some(context) => ffi::copy_context(context.bind(py)),
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
        let (template, trusted_hosts) = self.state.with(py, |state| {
            let template = state.template.as_ref().map(|template| template.clone_ref(py));
            (template, state.trusted_hosts.as_ref().map(|hosts| hosts.clone_ref(py)))
        });
        let template = template.map_or_else(|| PyDict::new(py), |template| template.into_bound(py));
        let scope = scope::request(&template, &self.settings, head, state)?;
        let is_forwarded = |name: &[u8]| matches!(name, b"x-forwarded-for" | b"x-forwarded-proto");
        if trusted_hosts.is_some() && head.headers().any(|(name, _)| is_forwarded(name)) {
            names::read_proxy_headers(py)?.call1((&scope, trusted_hosts))?;
        }
        Ok(scope)
    }
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
            head_time: time(class.getattr(intern!(py, "head_timeout"))?.extract()?),
            get_task_factory: event_loop.bind(py).getattr_opt(intern!(py, "get_task_factory"))?.map(Bound::unbind),
            event_loop,
            state: Locked::new(State {
                transport: None,
                write: None,
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
                is_ending: false,
                drained: None,
                deadline: None,
                timer: None,
            }),
            is_write_paused: AtomicBool::new(false),
            #[cfg(reused_tasks)]
            spare: Locked::default(),
            #[cfg(all(Py_3_12, reused_tasks))]
            habit: Locked::default(),
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
            let write = transport.getattr(intern!(py, "write"))?;
            let before = this.state.with(py, |state| {
                (
                    state.transport.replace(transport.clone().unbind()),
                    state.write.replace(write.unbind()),
                    state.template.replace(template.unbind()),
                    std::mem::replace(&mut state.trusted_hosts, trusted_hosts),
                    state.context.replace(context.unbind()),
                )
            });
            drop(before);
            Ok(())
        })
    }

    fn data_received(slf: &Bound<'_, Self>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        guarded(|| {
            slf.get().state.with(slf.py(), |state| {
                if matches!(state.deadline, Some(Deadline::KeepAlive(_))) {
                    state.deadline = None;
                }
            });
            match data.cast::<PyBytes>() {
                Ok(data) => Self::process(slf, data.as_bytes()),
                Err(_) => Self::process(slf, names::bytes_of(data)?.as_bytes()),
            }
        })
    }

    /// Go on with what has arrived while a request was being answered.
    fn process_pending(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        guarded(|| if slf.get().is_busy(py) { Ok(()) } else { Self::process(slf, b"") })
    }

    #[expect(clippy::unused_self, reason = "asyncio's interface; the answer keeps the connection half open")]
    fn eof_received(&self) {}

    fn connection_lost(slf: &Bound<'_, Self>, error: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        guarded(|| {
            let (py, this) = (slf.py(), slf.get());
            this.settings.connections.call_method1(py, intern!(py, "discard"), (slf,))?;
            let template = this.state.with(py, |state| state.template.as_ref().map(|template| template.clone_ref(py)));
            names::connection_lost(py)?.call1((&this.settings.logger, template))?;
            if let Some(exchange) = this.current(py) {
                exchange.get().disconnect(py)?;
            }
            #[cfg(reused_tasks)]
            this.spare.replace(py, None).map_or(Ok(()), |spare| spare.release(py))?;
            Self::resume_writing(slf)?;
            Self::cancel_timer(slf)?;
            let was_closing = this.state.with(py, |state| {
                state.output.clear();
                state.pending.clear();
                state.close()
            });
            match this.transport(py) {
                Some(transport) if !was_closing && error.is_none() => {
                    transport.call_method0(intern!(py, "close")).map(drop)
                }
                _ => Ok(()),
            }
        })
    }

    /// Begin a graceful shutdown: the requests that have arrived are the last ones.
    fn shutdown(slf: &Bound<'_, Self>) -> PyResult<()> {
        guarded(|| {
            let (current, is_last) = slf.get().state.with(slf.py(), |state| {
                state.is_ending = true;
                let current = state.current.as_ref().filter(|_| state.is_busy());
                (current.map(|current| current.clone_ref(slf.py())), state.pending.is_empty())
            });
            let Some(current) = current else { return Self::close(slf) };
            if is_last {
                current.get().must_close.store(true, Ordering::Relaxed);
            }
            Ok(())
        })
    }

    fn pause_writing(&self) {
        self.is_write_paused.store(true, Ordering::Relaxed);
    }

    fn resume_writing(slf: &Bound<'_, Self>) -> PyResult<()> {
        guarded(|| {
            let (py, this) = (slf.py(), slf.get());
            this.is_write_paused.store(false, Ordering::Relaxed);
            let drained = this.state.with(py, |state| state.drained.take());
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
            let (deadline, timer) = slf.get().state.with(slf.py(), |state| (state.deadline, state.timer.take()));
            let armed = timer.map(|(_, armed)| armed);
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
    fn get_transport<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.transport(py)
    }

    #[getter]
    fn scope<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        guarded(|| self.current(py).map(|exchange| exchange.get().scope(py)).transpose())
    }

    #[getter]
    fn timeout_keep_alive_task(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| {
            let is_idle = matches!(state.deadline, Some(Deadline::KeepAlive(_)));
            state.timer.as_ref().filter(|_| is_idle).map(|(timer, _)| timer.clone_ref(py))
        })
    }

    #[getter]
    fn get_ws_protocol_class(&self, py: Python<'_>) -> Py<PyAny> {
        self.state.with(py, |state| state.ws_protocol_class.clone_ref(py))
    }

    #[setter]
    fn set_ws_protocol_class(&self, py: Python<'_>, class: Py<PyAny>) {
        let before = self.state.with(py, |state| std::mem::replace(&mut state.ws_protocol_class, class));
        drop(before);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.settings.visit(&visit)?;
        visit.call(&self.event_loop)?;
        visit.call(&self.get_task_factory)?;
        #[cfg(reused_tasks)]
        self.spare.visit(&visit, |spare| spare.as_ref().map_or(Ok(()), |spare| spare.visit(&visit)))?;
        self.state.visit(&visit, |state| {
            visit.call(&state.template)?;
            visit.call(&state.ws_protocol_class)?;
            visit.call(&state.current)?;
            let State { transport, write, trusted_hosts, context, drained, timer, .. } = state;
            [transport, write, trusted_hosts, context, drained]
                .into_iter()
                .try_for_each(|object| visit.call(object))?;
            timer.as_ref().map_or(Ok(()), |(timer, _)| visit.call(timer))
        })
    }

    fn __clear__(&self, py: Python<'_>) {
        let held = self
            .state
            .with(py, |state| (state.transport.take(), state.write.take(), state.current.take(), state.timer.take()));
        drop(held);
        #[cfg(reused_tasks)]
        drop(self.spare.replace(py, None));
    }
}
