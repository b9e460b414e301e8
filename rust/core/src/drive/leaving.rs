//! A client that leaves while its endpoint waits: the endpoint is cancelled where its path operation asks for that.
//!
//! A server of ours tells when the client leaves. Of others `receive` is asked meanwhile, by the Python half.

use pyo3::exceptions::asyncio::CancelledError;
use pyo3::intern;
use pyo3::prelude::*;

use super::{Driver, Stage};
use crate::awaitable::Next;
use crate::connection::Channels;
use crate::names;

/// The client of a request that is cancelled when it leaves.
pub(crate) struct Client {
    /// What asks `receive`, which stands in its place.
    watch: Option<Py<PyAny>>,
    is_watched: bool,
}

impl Client {
    /// Let what the client does be known; what is asked for messages is replaced by what keeps them.
    ///
    /// # Errors
    /// `MemoryError`.
    pub(crate) fn of(py: Python<'_>, channels: &mut Channels) -> PyResult<Box<Self>> {
        let watch = match channels {
            Channels::Direct { .. } => None,
            Channels::Asgi { scope, receive, .. } => {
                *receive = names::watch(py)?.call1((&*scope, &*receive))?.unbind();
                Some(receive.clone_ref(py))
            }
        };
        Ok(Box::new(Self { watch, is_watched: false }))
    }
}

impl Client {
    pub(super) fn watch(&self) -> Option<&Py<PyAny>> {
        self.watch.as_ref()
    }
}

impl Drop for Client {
    /// The request is over, however that came.
    fn drop(&mut self) {
        let Some(watch) = self.watch.take() else { return };
        Python::attach(|py| {
            if let Err(error) = watch.call_method0(py, intern!(py, "close")) {
                error.write_unraisable(py, None);
            }
        });
    }
}

impl Driver {
    /// Something that is awaited suspends: watch the client from now on if it is a dependency or the endpoint.
    ///
    /// What runs in a worker thread cannot be cancelled, and uses what the teardown would close.
    #[cold]
    pub(super) fn watch_client(&mut self, py: Python<'_>) -> PyResult<()> {
        let is_solving = matches!(self.stage, Stage::Solving | Stage::SolvingByName | Stage::CallingByName);
        let Some(client) = self.client.as_mut().filter(|client| !client.is_watched && is_solving) else {
            return Ok(());
        };
        client.is_watched = true;
        match (&client.watch, &self.channels) {
            (Some(watch), _) => watch.call_method0(py, intern!(py, "begin")).map(drop),
            (None, Channels::Direct { request, server }) => server.watch(request.bind(py)),
            (None, Channels::Asgi { .. }) => Ok(()),
        }
    }

    /// Cancel nothing from here on; tell whether the endpoint was cancelled, and for no other reason.
    pub(super) fn leave_client(&mut self, py: Python<'_>) -> PyResult<bool> {
        let Some(client) = self.client.as_mut().filter(|client| client.is_watched) else { return Ok(false) };
        client.is_watched = false;
        match (&client.watch, &self.channels) {
            (Some(watch), _) => watch.call_method0(py, intern!(py, "end"))?.is_truthy(py),
            (None, Channels::Direct { request, server }) => server.unwatch(request.bind(py)),
            (None, Channels::Asgi { .. }) => Ok(false),
        }
    }

    /// End a request that has failed, after its teardown if there is one: with the exception, unless it is the
    /// cancellation of a client that `has_left`.
    pub(super) fn end_failed(
        &mut self,
        py: Python<'_>,
        failing: Option<Bound<'_, PyAny>>,
        error: PyErr,
        has_left: bool,
    ) -> PyResult<Next> {
        if has_left && error.is_instance_of::<CancelledError>(py) {
            self.stage = Stage::Failing;
            let send = self.channels.send(py)?;
            return Ok(Next::Await(names::answer_left(py)?.call1((failing, send))?.unbind()));
        }
        failing.map_or(Err(error), |failing| Ok(Next::Await(failing.unbind())))
    }
}
