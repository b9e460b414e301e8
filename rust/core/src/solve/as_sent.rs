//! What a connection said when its parameters were read, and whether it says the same after others have had it.
//!
//! FastAPI reads the `Request` again for each dependency, so that one of them can change what the next ones are given.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use pyo3::{PyTraverseError, PyVisit};

use super::Solver;
use crate::names;

impl Solver {
    /// Solve for a `Request` that others have made, and may have changed.
    pub(crate) fn for_others(mut self: Box<Self>, py: Python<'_>) -> PyResult<Box<Self>> {
        if !self.connection.is_as_made(py)? {
            self.connection.note_shared(py)?;
            self.is_unusual |= self.connection.is_changed(py, false)?;
        }
        Ok(self)
    }

    /// Leave the parameters to Python from here on, if somebody who had the `Request` has changed what it says.
    #[inline]
    pub(super) fn notice_changes(&mut self, py: Python<'_>) -> PyResult<()> {
        if self.connection.is_shared() && !self.is_unusual && !self.is_ready && self.before_leaf.is_none() {
            self.is_unusual = self.connection.is_changed(py, true)?;
        }
        Ok(())
    }
}

pub(super) struct AsSent {
    /// The list in the scope, and the pairs in it.
    headers: Option<(Py<PyList>, Py<PyList>)>,
    query_string: Option<Py<PyAny>>,
    path_params: Option<Py<PyDict>>,
}

/// The attributes of a connection of one of Starlette's classes; none of another.
fn attributes<'py>(request: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyDict>>> {
    let (py, class) = (request.py(), request.get_type());
    if !class.is(names::request(py)?) && !class.is(names::websocket(py)?) {
        return Ok(None);
    }
    Ok(request.getattr(intern!(py, "__dict__"))?.cast_into_exact::<PyDict>().ok())
}

/// Whether all that a connection says is in its scope: nobody has asked it, or put something there.
pub(super) fn is_as_made(request: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = request.py();
    let Some(known) = attributes(request)? else { return Ok(false) };
    Ok(!(known.contains(intern!(py, "_headers"))?
        || known.contains(intern!(py, "_query_params"))?
        || known.contains(intern!(py, "_cookies"))?))
}

impl AsSent {
    pub(super) fn new(scope: &Bound<'_, PyDict>) -> PyResult<Self> {
        let py = scope.py();
        let headers = match scope.get_item(intern!(py, "headers"))?.map(Bound::cast_into_exact::<PyList>) {
            Some(Ok(list)) => Some((list.clone().unbind(), list.get_slice(0, list.len()).unbind())),
            _ => None,
        };
        let path_params = match scope.get_item(intern!(py, "path_params"))?.map(Bound::cast_into_exact::<PyDict>) {
            Some(Ok(params)) if !params.is_empty() => Some(params.copy()?.unbind()),
            _ => None,
        };
        let query_string = scope.get_item(intern!(py, "query_string"))?.map(Bound::unbind);
        Ok(Self { headers, query_string, path_params })
    }

    /// Whether `request`, of this scope, still says so.
    pub(super) fn is_said_by(&self, request: &Bound<'_, PyAny>, scope: &Bound<'_, PyDict>) -> PyResult<bool> {
        let py = request.py();
        let Some(known) = attributes(request)? else { return self.ask(request) };
        if known.contains(intern!(py, "_query_params"))? || known.contains(intern!(py, "_cookies"))? {
            return self.ask(request);
        }
        if let Some((list, pairs)) = &self.headers {
            let said = match known.get_item(intern!(py, "_headers"))? {
                Some(headers) if headers.get_type().is(names::headers(py)?) => {
                    Some(headers.getattr(intern!(py, "_list"))?)
                }
                Some(_) => return Ok(false),
                // What was put in the place of the list is not what `Request.headers` would be made of.
                None => scope.get_item(intern!(py, "headers"))?.filter(|headers| headers.is(list)),
            };
            if said.map_or(Ok(false), |said| said.ne(pairs))? {
                return Ok(false);
            }
        }
        self.has_path_params(scope)
    }

    /// Whether the query and the headers are those objects in its scope that they were.
    pub(super) fn is_in_place(&self, request: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = request.py();
        let Ok(scope) = request.getattr(intern!(py, "scope"))?.cast_into_exact::<PyDict>() else { return Ok(false) };
        let has = |name, sent: Option<&Py<PyAny>>| -> PyResult<bool> {
            Ok(match (scope.get_item(name)?, sent) {
                (Some(found), Some(sent)) => found.is(sent),
                (found, sent) => found.is_none() && sent.is_none(),
            })
        };
        let headers = self.headers.as_ref().map(|(list, _)| list.as_any());
        Ok(has(intern!(py, "query_string"), self.query_string.as_ref())? && has(intern!(py, "headers"), headers)?)
    }

    /// Let `request`, of which something was changed, say the rest as before.
    #[cold]
    pub(super) fn keep_rest(&self, request: &Bound<'_, PyAny>) -> PyResult<()> {
        let Some((list, pairs)) = &self.headers else { return Ok(()) };
        names::keep_as_sent(request.py())?.call1((request, list, pairs, &self.query_string)).map(drop)
    }

    fn has_path_params(&self, scope: &Bound<'_, PyDict>) -> PyResult<bool> {
        let py = scope.py();
        match (scope.get_item(intern!(py, "path_params"))?, &self.path_params) {
            (Some(params), Some(sent)) => params.eq(sent),
            (Some(params), None) => params.is_empty(),
            (None, sent) => Ok(sent.is_none()),
        }
    }

    /// Ask Python, which compares everything.
    #[cold]
    fn ask(&self, request: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = request.py();
        let pairs = self.headers.as_ref().map(|(_, pairs)| pairs);
        names::says_as_sent(py)?.call1((request, pairs, &self.query_string, &self.path_params))?.is_truthy()
    }

    pub(super) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Some((list, pairs)) = &self.headers {
            visit.call(list)?;
            visit.call(pairs)?;
        }
        visit.call(&self.query_string)?;
        visit.call(&self.path_params)
    }
}
