//! The body of a request: received, and parsed as what the plan takes it for.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::{Channels, Driver, Next, Stage};
use crate::error::Error;
use crate::plan::BodyMode;
use crate::respond::message_type;
use crate::scope::Scope;
use crate::solve::Body;
use crate::{body, names};

impl Driver {
    /// Read the body, if the plan wants one.
    pub(super) fn read(&mut self, py: Python<'_>) -> PyResult<Next> {
        match self.plan(py)?.get().body {
            BodyMode::Unread => self.solve(py),
            BodyMode::Json { .. } => self.receive(py),
            BodyMode::Form { is_limited } => {
                if !is_limited && body::is_readable_form(Scope(self.channels.scope.bind(py)))? {
                    return self.receive(py);
                }
                self.stage = Stage::Parsing;
                let plan = self.plan(py)?;
                let request = self.solver()?.connection.request(py)?;
                let reading = names::read_limited(py)?.call1((request, &plan.get().operation))?;
                Ok(Next::Await(reading.unbind()))
            }
        }
    }

    pub(super) fn receive(&mut self, py: Python<'_>) -> PyResult<Next> {
        self.stage = Stage::Receiving;
        self.channels.receive.call0(py).map(Next::Await)
    }

    pub(super) fn received(&mut self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<Next> {
        let kind = message_type(message)?;
        if kind == "http.disconnect" {
            if self.is_multipart(py)? {
                // Starlette parses what comes as it comes, and may refuse it before it knows that the client has left.
                return self.parse_by_starlette(py, Some(message.clone()));
            }
            return Err(PyErr::from_value(names::client_disconnect(py)?.call0()?));
        }
        if kind != "http.request" {
            return self.receive(py);
        }
        let message = message.cast::<PyDict>()?;
        if let Some(chunk) = message.get_item(intern!(py, "body"))? {
            let chunk = chunk.cast_into::<PyBytes>().map_err(|_| Error::Message { key: "body", expected: "bytes" })?;
            if !chunk.as_bytes().is_empty() {
                self.chunks.push(chunk.unbind());
            }
        }
        let more = message.get_item(intern!(py, "more_body"))?;
        if more.map_or(Ok(false), |more| more.is_truthy())? {
            return if self.is_large(py)? { self.parse_by_starlette(py, None) } else { self.receive(py) };
        }
        if self.is_multipart(py)? {
            return self.parse_multipart(py);
        }
        self.parse(py)?;
        self.solve(py)
    }

    fn is_multipart(&self, py: Python<'_>) -> PyResult<bool> {
        let is_form = matches!(self.plan(py)?.get().body, BodyMode::Form { .. });
        Ok(is_form && body::is_multipart(Scope(self.channels.scope.bind(py)))?)
    }

    /// Whether what was received so far is a multipart form that is not kept in memory as a whole.
    fn is_large(&self, py: Python<'_>) -> PyResult<bool> {
        let received: usize = self.chunks.iter().map(|chunk| chunk.as_bytes(py).len()).sum();
        Ok(received > body::LARGEST_MULTIPART && self.is_multipart(py)?)
    }

    fn parse_multipart(&mut self, py: Python<'_>) -> PyResult<Next> {
        let items = body::multipart_items(Scope(self.channels.scope.bind(py)), &whole(py, &self.chunks))?;
        let Some(items) = items else {
            let end = PyDict::new(py);
            end.set_item(intern!(py, "type"), intern!(py, "http.request"))?;
            return self.parse_by_starlette(py, Some(end.into_any()));
        };
        self.chunks.clear();
        self.files = self.solver()?.take_multipart(&items, false)?;
        self.solve(py)
    }

    /// `end` is the message that came after the chunks; none if more is to come.
    fn parse_by_starlette(&mut self, py: Python<'_>, end: Option<Bound<'_, PyAny>>) -> PyResult<Next> {
        self.stage = Stage::Parsing;
        let Channels { scope, receive, .. } = &self.channels;
        let arguments = (scope, std::mem::take(&mut self.chunks), end, receive);
        names::read_multipart(py)?.call1(arguments).map(|reading| Next::Await(reading.unbind()))
    }

    fn parse(&mut self, py: Python<'_>) -> PyResult<()> {
        let bytes = whole(py, &std::mem::take(&mut self.chunks));
        let strict = match self.plan(py)?.get().body {
            BodyMode::Json { strict } => strict,
            BodyMode::Form { .. } => return self.solver()?.take_form(py, bytes.as_bytes()),
            BodyMode::Unread => return Ok(()),
        };
        let is_json = !bytes.as_bytes().is_empty() && body::is_json(Scope(self.channels.scope.bind(py)), strict)?;
        let solver = self.solver()?;
        solver.connection.body_bytes = Some(bytes.clone().into_any().unbind());
        if bytes.as_bytes().is_empty() {
            return Ok(());
        }
        let value = if is_json {
            let json = body::parse_json(&bytes)?.unbind();
            solver.connection.body_json = Some(json.clone_ref(py));
            json
        } else {
            bytes.into_any().unbind()
        };
        solver.body = Body::Value(value);
        Ok(())
    }
}

/// The body that came in these chunks.
fn whole<'py>(py: Python<'py>, chunks: &[Py<PyBytes>]) -> Bound<'py, PyBytes> {
    if let [only] = chunks {
        return only.bind(py).clone();
    }
    let bytes: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.as_bytes(py)).copied().collect();
    PyBytes::new(py, &bytes)
}
