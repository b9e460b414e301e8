//! What has come of a request, and the objects that are made of it only when somebody asks.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use super::as_sent::{self, AsSent};
use crate::connection::Channels;
use crate::error::Error;
use crate::extract::Collected;
use crate::plan::Plan;
use crate::{extract, names};

/// The request's body, once it is read.
pub(crate) enum Body {
    /// None was sent, or none is wanted.
    Undefined,
    /// Parsed JSON, a form, or raw bytes.
    Value(Py<PyAny>),
}

/// The connection, and the objects that are made of it only when somebody asks.
pub(crate) struct Connection {
    pub(crate) channels: Channels,
    request: Option<Py<PyAny>>,
    /// What it said before others had it, once they do.
    sent: Option<AsSent>,
    /// Bytes that were read from `receive`, which a `Request` must not read again.
    pub(crate) body_bytes: Option<Py<PyAny>>,
    /// The same, parsed.
    pub(crate) body_json: Option<Py<PyAny>>,
    /// A url-encoded form that was read instead.
    pub(crate) form: Option<Box<[u8]>>,
    /// The items of a multipart form.
    pub(super) items: Option<Py<PyAny>>,
    pub(super) form_data: Option<Py<PyAny>>,
    /// How many bytes of a body were read here.
    pub(crate) body_size: usize,
}

impl Connection {
    pub(crate) fn new(channels: Channels, request: Option<Py<PyAny>>) -> Self {
        Self {
            channels,
            request,
            sent: None,
            body_bytes: None,
            body_json: None,
            form: None,
            items: None,
            form_data: None,
            body_size: 0,
        }
    }

    /// Whether somebody else made the `Request`, of a class of their own, whose methods may have read the body.
    pub(super) fn is_given(&self, py: Python<'_>) -> bool {
        self.request
            .as_ref()
            .is_some_and(|request| names::request(py).map_or(true, |class| !request.bind(py).get_type().is(class)))
    }

    /// Whether all that the `Request` says is in the scope.
    pub(super) fn is_as_made(&self, py: Python<'_>) -> PyResult<bool> {
        self.request.as_ref().map_or(Ok(true), |request| as_sent::is_as_made(request.bind(py)))
    }

    /// Take note that code of others has the `Request` while there are parameters to read.
    pub(super) fn note_shared(&mut self, py: Python<'_>) -> PyResult<()> {
        if self.sent.is_none() {
            self.sent = Some(AsSent::new(&self.channels.scope(py)?)?);
        }
        Ok(())
    }

    /// Whether code of others has the `Request`, or has had it.
    #[inline]
    pub(super) fn is_shared(&self) -> bool {
        self.sent.is_some()
    }

    /// Whether somebody who made or had the `Request` has changed what it says of its parameters.
    ///
    /// What they have not changed `keeps` what it said when FastAPI would have read it.
    pub(super) fn is_changed(&self, py: Python<'_>, keeps: bool) -> PyResult<bool> {
        let (Some(sent), Some(request)) = (&self.sent, &self.request) else { return Ok(false) };
        let is_changed = !sent.is_said_by(request.bind(py), &self.channels.scope(py)?)?;
        if is_changed && keeps {
            sent.keep_rest(request.bind(py))?;
        }
        Ok(is_changed)
    }

    /// Let the `Request` say what it said before somebody who had it has put something else into its scope.
    pub(super) fn keep_sent(&self, py: Python<'_>) -> PyResult<()> {
        match (&self.sent, &self.request) {
            (Some(sent), Some(request)) if !sent.is_in_place(request.bind(py))? => sent.keep_rest(request.bind(py)),
            _ => Ok(()),
        }
    }

    /// The one `Request` of this connection.
    pub(crate) fn request(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if let Some(request) = &self.request {
            return Ok(request.clone_ref(py));
        }
        let Self { channels, .. } = self;
        let request = names::request(py)?.call1((channels.scope(py)?, channels.receive(py)?, channels.send(py)?))?;
        if let Some(body) = &self.body_bytes {
            request.setattr(intern!(py, "_body"), body)?;
            request.setattr(intern!(py, "_stream_consumed"), true)?;
        }
        if let Some(json) = &self.body_json {
            request.setattr(intern!(py, "_json"), json)?;
        }
        if let Some(form) = self.form_data(py)? {
            request.setattr(intern!(py, "_form"), form)?;
            request.setattr(intern!(py, "_stream_consumed"), true)?;
        }
        let request = request.unbind();
        self.request = Some(request.clone_ref(py));
        Ok(request)
    }

    /// The `Request` if there is one, else another that tells what is in the scope and no more.
    pub(crate) fn shown(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match &self.request {
            Some(request) => Ok(request.clone_ref(py)),
            None => names::request(py)?.call1((self.channels.scope(py)?,)).map(Bound::unbind),
        }
    }

    pub(super) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.channels.visit(visit)?;
        self.sent.as_ref().map_or(Ok(()), |sent| sent.visit(visit))?;
        let Self { request, body_bytes, body_json, items, form_data, .. } = self;
        [request, body_bytes, body_json, items, form_data].into_iter().try_for_each(|object| visit.call(object))
    }

    /// The form as Starlette's `FormData`, for whoever asks for it.
    pub(crate) fn form_data(&mut self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        if let (None, Some(form)) = (&self.form_data, self.form.take()) {
            let pairs: Vec<_> = wire::query::pairs(&form).collect();
            self.form_data = Some(names::form_data(py)?.call1((pairs,))?.unbind());
        }
        if let (None, Some(items)) = (&self.form_data, self.items.take()) {
            self.form_data = Some(names::form_data(py)?.call1((items,))?.unbind());
        }
        Ok(self.form_data.as_ref().map(|form| form.clone_ref(py)))
    }

    /// Collect the fields of a form that has been read.
    pub(super) fn collect_form(&self, py: Python<'_>, plan: &Plan, collected: &mut Collected) -> PyResult<()> {
        if let Some(form) = &self.form {
            // It is within the limits.
            extract::form(py, plan, form, collected)?.map_err(|_| Error::Resumed.into())
        } else if let Some(form) = &self.form_data {
            extract::form_items(plan, &form.bind(py).call_method0(intern!(py, "multi_items"))?, collected)
        } else if let Some(items) = &self.items {
            extract::form_items(plan, items.bind(py), collected)
        } else {
            Ok(())
        }
    }
}
