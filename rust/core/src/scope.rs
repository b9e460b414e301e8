//! A typed, distrustful view of an ASGI scope.
//!
//! Source: ASGI specification, HTTP connection scope; `starlette._utils.get_route_path`.

use http::RequestHead;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use crate::place::Place;
use crate::{ffi, names};

/// Something in a scope that is not as servers have it: what it means is for Starlette's own code to say.
pub(crate) struct Unusual;

/// The path parameters of a connection, if it has any.
pub(crate) type PathParams<'py> = Result<Option<Bound<'py, PyDict>>, Unusual>;

/// The scope of one connection.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a, 'py>(pub(crate) &'a Bound<'py, PyDict>);

impl<'py> Scope<'_, 'py> {
    fn text(
        self,
        name: &Bound<'py, PyString>,
        place: &Place,
    ) -> PyResult<Result<Option<Bound<'py, PyString>>, Unusual>> {
        let found = place.get(self.0, name)?;
        Ok(found.map(Bound::cast_into_exact).transpose().map_err(|_| Unusual))
    }

    /// The connection's type: `http`, `websocket` or `lifespan`.
    pub(crate) fn kind(self) -> PyResult<Result<Option<Bound<'py, PyString>>, Unusual>> {
        static PLACE: Place = Place::new();
        self.text(intern!(self.0.py(), "type"), &PLACE)
    }

    /// The HTTP method, upper case; empty for a WebSocket.
    pub(crate) fn method(self) -> PyResult<Result<Option<Bound<'py, PyString>>, Unusual>> {
        static PLACE: Place = Place::new();
        self.text(intern!(self.0.py(), "method"), &PLACE)
    }

    /// The decoded path of the request, and the prefix under which the application is mounted, if there is one.
    pub(crate) fn path(self) -> PyResult<Result<ScopePath<'py>, Unusual>> {
        static PATH: Place = Place::new();
        static ROOT_PATH: Place = Place::new();
        let Ok(Some(path)) = self.text(intern!(self.0.py(), "path"), &PATH)? else { return Ok(Err(Unusual)) };
        let root_path = self.text(intern!(self.0.py(), "root_path"), &ROOT_PATH)?;
        Ok(root_path.map(|root_path| ScopePath { path, root_path }))
    }

    /// The path parameters that a request came with: those of the mounts around the application.
    pub(crate) fn path_params(self) -> PyResult<PathParams<'py>> {
        let found = self.0.get_item(intern!(self.0.py(), "path_params"))?;
        Ok(found.map(Bound::cast_into_exact).transpose().map_err(|_| Unusual))
    }

    /// The raw query string, percent-encoded; none if there is none, or if it is no bytes.
    pub(crate) fn query_string(self) -> PyResult<Option<Bound<'py, PyBytes>>> {
        static PLACE: Place = Place::new();
        let value = PLACE.get(self.0, intern!(self.0.py(), "query_string"))?;
        Ok(value.and_then(|value| value.cast_into::<PyBytes>().ok()))
    }

    /// The headers; none if there are none, or if they are no list or tuple: another iterable may be read only once.
    pub(crate) fn headers(self) -> PyResult<Option<Headers<'py>>> {
        static PLACE: Place = Place::new();
        let Some(headers) = PLACE.get(self.0, intern!(self.0.py(), "headers"))? else { return Ok(None) };
        Ok(match headers.cast_into_exact::<PyList>() {
            Ok(list) => Some(Headers::List(list)),
            Err(other) => other.into_inner().cast_into_exact::<PyTuple>().ok().map(Headers::Tuple),
        })
    }

    /// What parameters are read from; none if it is not of the types that servers use.
    pub(crate) fn fields<'a>(self) -> PyResult<Option<Fields<'a, 'py>>> {
        let (Some(query_string), Some(headers)) = (self.query_string()?, self.headers()?) else { return Ok(None) };
        Ok(Some(Fields::InScope { query_string, headers }))
    }

    /// The first header of this lower-case name.
    ///
    /// # Errors
    /// What Starlette's `Headers` raises for headers that are not as servers have them.
    pub(crate) fn header(self, wanted: &[u8]) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let mut found = None;
        let is_usual = match self.headers()? {
            None => false,
            Some(headers) => headers.each(|name, value| {
                if name == wanted {
                    found = Some(value.clone());
                }
                Ok(found.is_none())
            })?,
        };
        if is_usual { Ok(found) } else { self.unusual_header(wanted) }
    }

    #[cold]
    #[inline(never)]
    fn unusual_header(self, wanted: &[u8]) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let py = self.0.py();
        let keywords = PyDict::new(py);
        keywords.set_item(intern!(py, "scope"), self.0)?;
        let headers = names::headers(py)?.call((), Some(&keywords))?;
        let value = headers.call_method1(intern!(py, "get"), (ffi::latin_1(py, wanted)?,))?;
        if value.is_none() {
            return Ok(None);
        }
        Ok(Some(value.call_method1(intern!(py, "encode"), (intern!(py, "latin-1"),))?.cast_into()?))
    }

    /// Whether routers that the request has passed limit its forms.
    pub(crate) fn limits_forms(self) -> PyResult<bool> {
        let py = self.0.py();
        match self.0.get_item(intern!(py, "fastapi"))? {
            Some(notes) => notes.cast::<PyDict>().map_or(Ok(true), |notes| notes.contains(intern!(py, "form_limits"))),
            None => Ok(false),
        }
    }
}

/// Where a request goes, as its scope says.
pub(crate) struct ScopePath<'py> {
    path: Bound<'py, PyString>,
    root_path: Option<Bound<'py, PyString>>,
}

impl ScopePath<'_> {
    /// The path below that of the application; none if it cannot be looked up, because it is not UTF-8.
    pub(crate) fn below_application(&self) -> Option<&str> {
        let path = characters(&self.path)?;
        match &self.root_path {
            None => Some(path),
            Some(root_path) => Some(route_path(path, characters(root_path)?)),
        }
    }
}

/// The characters of a text; none of one that is not UTF-8.
#[inline]
fn characters<'a>(text: &'a Bound<'_, PyString>) -> Option<&'a str> {
    ffi::entries::Peeked::of(text).text().or_else(|| text.to_str().ok())
}

/// What parameters are read from.
pub(crate) enum Fields<'a, 'py> {
    InScope { query_string: Bound<'py, PyBytes>, headers: Headers<'py> },
    Parsed(&'a RequestHead),
}

impl Fields<'_, '_> {
    /// The raw query string, percent-encoded.
    pub(crate) fn query_string(&self) -> &[u8] {
        match self {
            Self::InScope { query_string, .. } => query_string.as_bytes(),
            Self::Parsed(head) => head.query(),
        }
    }

    /// Call `visit` with each header's name and value, as [`Headers::each`] does.
    ///
    /// # Errors
    /// Those of `visit`.
    pub(crate) fn each_header(&self, mut visit: impl FnMut(&[u8], &[u8]) -> PyResult<bool>) -> PyResult<bool> {
        match self {
            Self::InScope { headers, .. } => headers.each(|name, value| visit(name, value.as_bytes())),
            Self::Parsed(head) => {
                for (name, value) in head.headers() {
                    if !visit(name, value)? {
                        break;
                    }
                }
                Ok(true)
            }
        }
    }
}

/// The headers of a scope.
pub(crate) enum Headers<'py> {
    List(Bound<'py, PyList>),
    Tuple(Bound<'py, PyTuple>),
}

impl<'py> Headers<'py> {
    /// Call `visit` with each header's name and value in order, until it answers `false`.
    ///
    /// `false` is returned for a header that is no pair of bytes: what it means is for Starlette's `Headers` to say.
    pub(crate) fn each(&self, mut visit: impl FnMut(&[u8], &Bound<'py, PyBytes>) -> PyResult<bool>) -> PyResult<bool> {
        match self {
            Headers::List(list) => each_of(list.iter(), &mut visit),
            Headers::Tuple(tuple) => each_of(tuple.iter(), &mut visit),
        }
    }
}

#[inline]
fn each_of<'py>(
    items: impl Iterator<Item = Bound<'py, PyAny>>,
    visit: &mut impl FnMut(&[u8], &Bound<'py, PyBytes>) -> PyResult<bool>,
) -> PyResult<bool> {
    for item in items {
        let go_on = if let Ok([name, value]) = item.cast_exact::<PyTuple>().map(PyTupleMethods::as_slice) {
            let (Ok(name), Ok(value)) = (name.cast_exact::<PyBytes>(), value.cast_exact::<PyBytes>()) else {
                return Ok(false);
            };
            visit(name.as_bytes(), value)?
        } else {
            // Some servers send lists.
            let Ok(pair) = item.cast_exact::<PyList>() else { return Ok(false) };
            if pair.len() != 2 {
                return Ok(false);
            }
            let (name, value) = (pair.get_item(0)?, pair.get_item(1)?);
            let (Ok(name), Ok(value)) = (name.cast_exact::<PyBytes>(), value.cast_exact::<PyBytes>()) else {
                return Ok(false);
            };
            visit(name.as_bytes(), value)?
        };
        if !go_on {
            return Ok(true);
        }
    }
    Ok(true)
}

/// The part of `path` that routes are matched against: what is left below `root_path`.
fn route_path<'p>(path: &'p str, root_path: &str) -> &'p str {
    if root_path.is_empty() {
        return path;
    }
    match path.strip_prefix(root_path) {
        Some(rest) if (rest.is_empty() || rest.starts_with('/')) => rest,
        _ => path,
    }
}
