//! What a connection says by name, in dictionaries: for parameters that Python reads.
//!
//! Source: Starlette's `QueryParams`, `Headers` and `HTTPConnection.cookies`.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use wire::query::QuotedPair;

use crate::error::guarded;
use crate::extract::text;
use crate::ffi;
use crate::scope::Headers;

/// The values of each name, in the order in which the names are first met: a text, or a list of several.
struct Grouped<'py> {
    values: Bound<'py, PyDict>,
    /// The name that was met last, and the list of its values: many values of one name cost no more than a list.
    last: Option<(Vec<u8>, Bound<'py, PyList>)>,
}

impl<'py> Grouped<'py> {
    fn new(py: Python<'py>) -> Self {
        Self { values: PyDict::new(py), last: None }
    }

    /// Add a value of the name that is sent as `raw`.
    fn add(
        &mut self,
        raw: &[u8],
        name: impl FnOnce() -> PyResult<Bound<'py, PyString>>,
        value: Bound<'py, PyString>,
    ) -> PyResult<()> {
        if let Some((_, list)) = self.last.as_ref().filter(|(last, _)| last == raw) {
            return list.append(value);
        }
        let name = name()?;
        let Some(found) = self.values.get_item(&name)? else { return self.values.set_item(name, value) };
        let list = match found.cast_into::<PyList>() {
            Ok(list) => list,
            Err(only) => {
                let list = PyList::new(value.py(), [only.into_inner()])?;
                self.values.set_item(name, &list)?;
                list
            }
        };
        list.append(value)?;
        self.last = Some((raw.to_vec(), list));
        Ok(())
    }
}

/// The values of each name in a query string.
#[pyfunction]
#[pyo3(signature = (query_string, /))]
pub(crate) fn group_query<'py>(py: Python<'py>, query_string: &[u8]) -> PyResult<Bound<'py, PyDict>> {
    guarded(|| {
        let mut grouped = Grouped::new(py);
        for QuotedPair { name, value } in wire::query::parts(query_string) {
            grouped.add(name.raw, || text(py, name), text(py, value)?)?;
        }
        Ok(grouped.values)
    })
}

/// The values of each name in the headers of a scope; nothing if one is not as servers have them.
#[pyfunction]
#[pyo3(signature = (headers, /))]
pub(crate) fn group_headers(headers: Bound<'_, PyList>) -> PyResult<Option<Bound<'_, PyDict>>> {
    guarded(|| {
        let py = headers.py();
        let mut grouped = Grouped::new(py);
        let is_usual = Headers::List(headers).each(|name, value| {
            grouped.add(name, || ffi::latin_1(py, name), ffi::latin_1(py, value.as_bytes())?)?;
            Ok(true)
        })?;
        Ok(is_usual.then_some(grouped.values))
    })
}

/// The cookies of a `Cookie` header.
#[pyfunction]
#[pyo3(signature = (header, /))]
pub(crate) fn parse_cookies<'py>(py: Python<'py>, header: &[u8]) -> PyResult<Bound<'py, PyDict>> {
    guarded(|| {
        let cookies = PyDict::new(py);
        for (name, value) in wire::cookie::pairs(header) {
            cookies.set_item(&*name, &*value)?;
        }
        Ok(cookies)
    })
}
