//! The body of a request: received, and parsed as what the plan takes it for.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use wire::arriving::Arriving;
use wire::media_type::FormKind;

use super::{Driver, Stage};
use crate::awaitable::Next;
use crate::connection::Arrival;
use crate::error::Error;
use crate::plan::Reading;
use crate::scope::Scope;
use crate::solve::Body;
use crate::{body, names};

impl Driver {
    /// Read the body, if the plan wants one.
    pub(super) fn read(&mut self, py: Python<'_>) -> PyResult<Next> {
        match self.plan(py)?.get().body {
            Reading::Unread => self.begin_solving(py),
            _ if self.by_name.request => self.read_from_request(py),
            Reading::Json | Reading::LenientJson => self.receive(py),
            Reading::LimitedForm => self.read_from_request(py),
            Reading::Form => {
                let Some(kind) = body::readable_form(Scope(&self.channels.scope(py)?))? else {
                    return self.read_from_request(py);
                };
                self.chunks.form = if kind == FormKind::UrlEncoded { Form::UrlEncoded } else { Form::Multipart(None) };
                self.receive(py)
            }
        }
    }

    /// Let Python read the body as FastAPI does: from the `Request`, which keeps it.
    fn read_from_request(&mut self, py: Python<'_>) -> PyResult<Next> {
        self.stage = Stage::Parsing;
        let plan = self.plan(py)?;
        let request = self.solver()?.connection.request(py)?;
        let reading = names::read_from_request(py)?.call1((request, &plan.get().operation))?;
        Ok(Next::Await(reading.unbind()))
    }

    pub(super) fn receive(&mut self, py: Python<'_>) -> PyResult<Next> {
        self.stage = Stage::Receiving;
        match self.channels.arrived(py)? {
            Arrival::Later => Ok(Next::Await(self.channels.receive(py)?.call0()?.unbind())),
            arrival => self.take_arrival(py, arrival),
        }
    }

    pub(super) fn received(&mut self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<Next> {
        match arrival_of(message)? {
            None => self.read_by_starlette(py, Some(message)),
            Some(arrival) => self.take_arrival(py, arrival),
        }
    }

    fn take_arrival(&mut self, py: Python<'_>, arrival: Arrival<'_>) -> PyResult<Next> {
        match arrival {
            // Starlette parses what comes as it comes, and may refuse it before it knows that the client has left.
            Arrival::Gone if self.is_multipart() => {
                let message = PyDict::new(py);
                message.set_item(intern!(py, "type"), intern!(py, "http.disconnect"))?;
                return self.read_by_starlette(py, Some(&message));
            }
            Arrival::Gone => return Err(PyErr::from_value(names::client_disconnect(py)?.call0()?)),
            Arrival::Later => return Err(Error::Resumed.into()),
            Arrival::Body { chunk, is_last } => {
                let is_read_here = is_last || self.may_be_plain(py, chunk.as_ref())?;
                if let Some(chunk) = chunk {
                    self.chunks.push(chunk);
                }
                if !is_read_here {
                    return self.read_by_starlette(py, None);
                }
                if !is_last {
                    return self.receive(py);
                }
            }
        }
        if self.is_multipart() {
            return self.parse_multipart(py);
        }
        let whole = std::mem::take(&mut self.chunks).whole(py)?;
        self.parse(py, whole)?;
        self.begin_solving(py)
    }

    /// Starlette has read the body: a form, or bytes.
    pub(super) fn take(&mut self, py: Python<'_>, value: Bound<'_, PyAny>) -> PyResult<Next> {
        if self.is_form(py)? {
            self.files = self.take_body(value.clone())?;
            self.solver()?.connection.body_size = names::form_size(py)?.call1((value,))?.extract()?;
        } else if self.by_name.request {
            let (body, size): (Bound<'_, PyAny>, usize) = value.extract()?;
            self.take_body(body)?;
            self.solver()?.connection.body_size = size;
        } else {
            self.parse(py, value.cast_into()?)?;
        }
        self.begin_solving(py)
    }

    fn is_form(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.plan(py)?.get().body.is_form())
    }

    fn is_multipart(&self) -> bool {
        matches!(self.chunks.form, Form::Multipart(_))
    }

    /// Whether the body can still be read here with a piece more: any is, but a multipart form that is large or odd.
    ///
    /// Starlette's parser refuses an odd one as soon as it is seen to be malformed, and reads no more of it.
    fn may_be_plain(&mut self, py: Python<'_>, chunk: Option<&Bound<'_, PyBytes>>) -> PyResult<bool> {
        if let Form::Multipart(arriving @ None) = &mut self.chunks.form {
            *arriving = body::arriving(Scope(&self.channels.scope(py)?))?.map(Box::new);
        }
        let (Form::Multipart(Some(arriving)), Some(chunk)) = (&mut self.chunks.form, chunk) else { return Ok(true) };
        let size = self.chunks.size + chunk.as_bytes().len();
        Ok(size <= body::LARGEST_MULTIPART && arriving.take(chunk.as_bytes()))
    }

    fn parse_multipart(&mut self, py: Python<'_>) -> PyResult<Next> {
        let whole = self.chunks.whole(py)?;
        let Some(items) = body::multipart_items(Scope(&self.channels.scope(py)?), &whole)? else {
            let end = PyDict::new(py);
            end.set_item(intern!(py, "type"), intern!(py, "http.request"))?;
            return self.read_by_starlette(py, Some(&end));
        };
        self.chunks = Chunks::default();
        self.solver()?.connection.body_size = whole.as_bytes().len();
        self.files = self.solver()?.take_multipart(&items, false)?;
        self.begin_solving(py)
    }

    /// `message` is what came after the chunks and is not among them; none if more is to be asked for.
    fn read_by_starlette(&mut self, py: Python<'_>, message: Option<&Bound<'_, PyAny>>) -> PyResult<Next> {
        self.stage = Stage::Parsing;
        let is_form = self.is_form(py)?;
        let chunks = std::mem::take(&mut self.chunks).parts;
        let (scope, receive) = (self.channels.scope(py)?, self.channels.receive(py)?);
        let messages: Vec<_> = message.into_iter().collect();
        let arguments = (scope, chunks, messages, receive, is_form);
        names::read_by_starlette(py)?.call1(arguments).map(|reading| Next::Await(reading.unbind()))
    }

    fn parse(&mut self, py: Python<'_>, bytes: Bound<'_, PyBytes>) -> PyResult<()> {
        self.solver()?.connection.body_size = bytes.as_bytes().len();
        let strict = match self.plan(py)?.get().body {
            Reading::Json => true,
            Reading::LenientJson => false,
            Reading::Form | Reading::LimitedForm => return self.solver()?.take_form(py, bytes.as_bytes()),
            Reading::Unread => return Ok(()),
        };
        let is_empty = bytes.as_bytes().is_empty();
        let is_json = !is_empty && body::is_json(self.channels.header(py, b"content-type")?.as_ref(), strict);
        let solver = self.solver()?;
        solver.connection.body_bytes = Some(bytes.clone().into_any().unbind());
        if is_empty {
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

/// What a message says, if it is as servers send it; what any other says is for Starlette's `Request` to know.
fn arrival_of<'py>(message: &Bound<'py, PyAny>) -> PyResult<Option<Arrival<'py>>> {
    let py = message.py();
    let Ok(message) = message.cast_exact::<PyDict>() else { return Ok(None) };
    let Some(kind) = message.get_item(intern!(py, "type"))? else { return Ok(None) };
    let Ok(kind) = kind.cast_exact::<PyString>() else { return Ok(None) };
    if kind == "http.disconnect" {
        return Ok(Some(Arrival::Gone));
    }
    if kind != "http.request" {
        return Ok(None);
    }
    let chunk = match message.get_item(intern!(py, "body"))? {
        None => None,
        Some(body) => match body.cast_into_exact::<PyBytes>() {
            Ok(chunk) => Some(chunk).filter(|chunk| !chunk.as_bytes().is_empty()),
            Err(_) => return Ok(None),
        },
    };
    let more = message.get_item(intern!(py, "more_body"))?;
    let is_last = !more.map_or(Ok(false), |more| more.is_truthy())?;
    Ok(Some(Arrival::Body { chunk, is_last }))
}

/// What has come of a body, none of it empty, and its size in bytes.
#[derive(Default)]
pub(super) struct Chunks {
    parts: Vec<Py<PyBytes>>,
    size: usize,
    form: Form,
}

/// What kind of form is read.
#[derive(Default)]
enum Form {
    /// None, or one that Python reads.
    #[default]
    Other,
    UrlEncoded,
    /// What is known of one that comes in several pieces.
    Multipart(Option<Box<Arriving>>),
}

impl Chunks {
    fn push(&mut self, chunk: Bound<'_, PyBytes>) {
        self.size += chunk.as_bytes().len();
        self.parts.push(chunk.unbind());
    }

    /// The body so far, in one piece.
    fn whole<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        if let [only] = self.parts.as_slice() {
            return Ok(only.bind(py).clone());
        }
        PyBytes::new_with(py, self.size, |mut place| {
            for chunk in &self.parts {
                let bytes = chunk.as_bytes(py);
                let Some((start, rest)) = place.split_at_mut_checked(bytes.len()) else { break };
                start.copy_from_slice(bytes);
                place = rest;
            }
            Ok(())
        })
    }
}
