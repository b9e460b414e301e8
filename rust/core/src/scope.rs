//! A typed, distrustful view of an ASGI scope.
//!
//! Source: ASGI specification, HTTP connection scope; `starlette._utils.get_route_path`.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use crate::error::Error;

/// The scope of one connection.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a, 'py>(pub(crate) &'a Bound<'py, PyDict>);

impl<'py> Scope<'_, 'py> {
    fn text(self, key: &'static str, name: &Bound<'py, PyString>) -> PyResult<Option<Bound<'py, PyString>>> {
        match self.0.get_item(name)? {
            None => Ok(None),
            Some(value) => {
                Ok(Some(value.cast_into::<PyString>().map_err(|_| Error::Scope { key, expected: "a str" })?))
            }
        }
    }

    /// The connection's type: `http`, `websocket` or `lifespan`.
    pub(crate) fn kind(self) -> PyResult<Bound<'py, PyString>> {
        self.text("type", intern!(self.0.py(), "type"))?
            .ok_or_else(|| Error::Scope { key: "type", expected: "a str" }.into())
    }

    /// The HTTP method, upper case; empty for a WebSocket.
    pub(crate) fn method(self) -> PyResult<Option<Bound<'py, PyString>>> {
        self.text("method", intern!(self.0.py(), "method"))
    }

    /// The decoded path of the request.
    pub(crate) fn path(self) -> PyResult<Bound<'py, PyString>> {
        self.text("path", intern!(self.0.py(), "path"))?
            .ok_or_else(|| Error::Scope { key: "path", expected: "a str" }.into())
    }

    /// The prefix under which the application is mounted; absent and empty are the same.
    pub(crate) fn root_path(self) -> PyResult<Option<Bound<'py, PyString>>> {
        self.text("root_path", intern!(self.0.py(), "root_path"))
    }

    /// The raw query string, percent-encoded.
    pub(crate) fn query_string(self) -> PyResult<Option<Bound<'py, PyBytes>>> {
        match self.0.get_item(intern!(self.0.py(), "query_string"))? {
            None => Ok(None),
            Some(value) => Ok(Some(
                value.cast_into::<PyBytes>().map_err(|_| Error::Scope { key: "query_string", expected: "bytes" })?,
            )),
        }
    }

    /// Call `visit` with each header's name and value in order, until it answers `false`.
    ///
    /// # Errors
    /// A header that is not a pair of bytes.
    pub(crate) fn each_header(
        self,
        mut visit: impl FnMut(&[u8], &Bound<'py, PyBytes>) -> PyResult<bool>,
    ) -> PyResult<()> {
        let wrong = || Error::Scope { key: "headers", expected: "pairs of bytes" };
        let Some(headers) = self.0.get_item(intern!(self.0.py(), "headers"))? else {
            return Ok(());
        };
        let mut pair = |item: Bound<'py, PyAny>| -> PyResult<bool> {
            // As servers have them; any other pair is asked for its items.
            if let Ok([name, value, ..]) = item.cast_exact::<PyTuple>().map(PyTupleMethods::as_slice) {
                let name = name.cast::<PyBytes>().map_err(|_| wrong())?;
                let value = value.cast::<PyBytes>().map_err(|_| wrong())?;
                return visit(name.as_bytes(), value);
            }
            let name = item.get_item(0)?.cast_into::<PyBytes>().map_err(|_| wrong())?;
            let value = item.get_item(1)?.cast_into::<PyBytes>().map_err(|_| wrong())?;
            visit(name.as_bytes(), &value)
        };
        if let Ok(list) = headers.cast::<PyList>() {
            for item in list {
                if !pair(item)? {
                    break;
                }
            }
        } else {
            for item in headers.try_iter()? {
                if !pair(item?)? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// The first header of this lower-case name.
    pub(crate) fn header(self, wanted: &[u8]) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let mut found = None;
        self.each_header(|name, value| {
            if name == wanted {
                found = Some(value.clone());
            }
            Ok(found.is_none())
        })?;
        Ok(found)
    }

    /// Whether routers that the request has passed limit its forms.
    pub(crate) fn limits_forms(self) -> PyResult<bool> {
        let py = self.0.py();
        match self.0.get_item(intern!(py, "fastapi"))? {
            Some(notes) => notes.cast::<PyDict>()?.contains(intern!(py, "form_limits")),
            None => Ok(false),
        }
    }
}

/// The part of `path` that routes are matched against: what is left below `root_path`.
pub(crate) fn route_path<'p>(path: &'p str, root_path: &str) -> &'p str {
    match path.strip_prefix(root_path) {
        Some(rest) if !root_path.is_empty() && (rest.is_empty() || rest.starts_with('/')) => rest,
        _ => path,
    }
}
