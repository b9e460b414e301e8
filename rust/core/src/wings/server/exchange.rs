//! One request and its response: the body that has arrived, and how far the answer is.
//!
//! Source: uvicorn, `RequestResponseCycle`.

use std::sync::atomic::{AtomicBool, Ordering};

use http::{Head, RequestHead};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use pyo3::{PyTraverseError, PyVisit};

use super::state::{Exchange, HTTPProtocol, Incoming, Made, Watched};
use crate::connection::{Arrival, method};
use crate::entry::Selection;
use crate::ffi::locked::Locked;
use crate::names;
use crate::scope::Unusual;

impl Exchange {
    pub(super) fn new(protocol: Py<HTTPProtocol>, head: Head<'_>, state: Option<Py<PyAny>>) -> Self {
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

    /// Become the next request of the connection; what is returned of this one is to be dropped.
    #[inline]
    pub(super) fn become_next(
        &mut self,
        py: Python<'_>,
        head: Head<'_>,
        state: Option<Py<PyAny>>,
    ) -> impl Sized + use<> {
        // All of them, so that none is forgotten.
        let Self {
            protocol: _,
            head: own_head,
            state: own_state,
            made,
            incoming,
            answer,
            watched,
            awaits_continue,
            has_started,
            is_complete,
            is_disconnected,
            must_close,
        } = self;
        own_head.fill(head);
        *awaits_continue.get_mut() = own_head.expects_continue;
        for mark in [has_started, is_complete, is_disconnected, must_close] {
            *mark.get_mut() = false;
        }
        answer.replace(py, None);
        (
            std::mem::replace(own_state, state),
            made.replace(py, Made::default()),
            incoming.replace(py, Incoming::default()),
            watched.replace(py, None),
        )
    }

    /// The scope; it is made when somebody asks first.
    ///
    /// # Errors
    /// Those of making it.
    pub(super) fn scope<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        if let Some(scope) = self.made.with(py, |made| made.scope.as_ref().map(|scope| scope.clone_ref(py))) {
            return Ok(scope.into_bound(py));
        }
        let scope = self.protocol.get().make_scope(py, &self.head, self.state.as_ref())?;
        let selection = self.made.with(py, |made| made.selection.take());
        if let Some(selection) = selection {
            // Nobody else has had it in his hands.
            drop(selection.apply(&scope)?);
        }
        let replaced = self.made.with(py, |made| made.scope.replace(scope.clone().unbind()));
        drop(replaced);
        Ok(scope)
    }

    /// Note what the scope gets when it is made; put it there if it is made already.
    ///
    /// # Errors
    /// Those of changing it.
    pub(super) fn select(&self, py: Python<'_>, selection: Selection) -> PyResult<Result<(), Unusual>> {
        if let Some(scope) = self.made.with(py, |made| made.scope.as_ref().map(|scope| scope.clone_ref(py))) {
            return Ok(selection.apply(scope.bind(py))?.map(drop));
        }
        let replaced = self.made.with(py, |made| made.selection.replace(selection));
        drop(replaced);
        Ok(Ok(()))
    }

    /// Take bytes of the body; return how many wait to be taken.
    pub(super) fn push(&self, py: Python<'_>, data: &[u8]) -> usize {
        if self.is_complete.load(Ordering::Relaxed) {
            return 0;
        }
        self.incoming.with(py, |incoming| {
            incoming.bytes.extend_from_slice(data);
            incoming.bytes.len()
        })
    }

    /// The body is over.
    pub(super) fn end_body(&self, py: Python<'_>) {
        self.incoming.with(py, |incoming| incoming.has_ended = true);
    }

    /// Let whoever waits in `receive` look again.
    pub(super) fn wake(&self, py: Python<'_>) -> PyResult<()> {
        let waiters = self.incoming.with(py, |incoming| std::mem::take(&mut incoming.waiters));
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
        self.incoming.with(py, |incoming| incoming.waiters.push(kept));
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
        let taken = self.incoming.with(py, |incoming| {
            if incoming.is_end_taken || (incoming.bytes.is_empty() && !incoming.has_ended) {
                return None;
            }
            incoming.is_end_taken = incoming.has_ended;
            Some((std::mem::take(&mut incoming.bytes), incoming.has_ended))
        });
        // What arrives behind the end is another request.
        if !taken.as_ref().is_some_and(|(_, is_last)| *is_last) {
            HTTPProtocol::resume_reading(self.protocol.bind(py))?;
        }
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
        match self.arrived(py)? {
            Arrival::Later => Ok(None),
            Arrival::Gone => {
                let message = PyDict::new(py);
                message.set_item(intern!(py, "type"), intern!(py, "http.disconnect"))?;
                Ok(Some(message))
            }
            Arrival::Body { chunk, is_last } => body_message(py, chunk, is_last).map(Some),
        }
    }

    /// The message for a call of `receive` that was woken for what another call has taken.
    ///
    /// # Errors
    /// Those of making it.
    ///
    /// Source: `RequestResponseCycle.receive` in uvicorn, where every call that is woken returns.
    #[cold]
    pub(super) fn nothing_more<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        body_message(py, None, self.incoming.with(py, |incoming| incoming.has_ended))
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
        let before = self.watched.replace(py, Some(Watched { task, has_left: false }));
        drop(before);
        if self.is_disconnected.load(Ordering::Relaxed) { self.cancel_watched(py) } else { Ok(()) }
    }

    #[cold]
    fn cancel_watched(&self, py: Python<'_>) -> PyResult<()> {
        let task = self.watched.with(py, |watched| {
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
        match self.watched.replace(py, None) {
            Some(Watched { task, has_left: true }) => names::uncancel(py)?.call1((task,))?.is_truthy(),
            _ => Ok(false),
        }
    }
}

/// A message with a piece of the body.
fn body_message<'py>(
    py: Python<'py>,
    chunk: Option<Bound<'py, PyBytes>>,
    is_last: bool,
) -> PyResult<Bound<'py, PyDict>> {
    let message = PyDict::new(py);
    message.set_item(intern!(py, "type"), intern!(py, "http.request"))?;
    message.set_item(intern!(py, "body"), chunk.unwrap_or_else(|| PyBytes::new(py, b"")))?;
    message.set_item(intern!(py, "more_body"), !is_last)?;
    Ok(message)
}

#[pymethods]
impl Exchange {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.protocol)?;
        visit.call(&self.state)?;
        self.made.visit(&visit, |made| {
            visit.call(&made.scope)?;
            made.selection.as_ref().map_or(Ok(()), |selection| selection.visit(&visit))
        })?;
        self.watched.visit(&visit, |watched| visit.call(watched.as_ref().map(|watched| &watched.task)))?;
        self.incoming.visit(&visit, |incoming| incoming.waiters.iter().try_for_each(|waiter| visit.call(waiter)))
    }
}
