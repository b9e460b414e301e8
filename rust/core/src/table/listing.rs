//! Where the entries of a table are found: by the template of their path, or by Python code that matches it.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyInt, PyString};
use wire::{Captures, Convertor, Routes};

use crate::entry::Entry;
use crate::names;
use crate::scope::{PathParams, Unusual};

/// The entries for one scope type.
#[derive(Default)]
pub(super) struct Listing {
    /// By template; the value is the entry's index.
    pub(super) routes: Routes<usize>,
    /// The entries that only Python can match, in order.
    pub(super) matched_by_python: Vec<usize>,
}

/// Where the entries are found.
#[derive(Default)]
pub(super) struct Listings {
    pub(super) http: Listing,
    pub(super) websocket: Listing,
}

impl Listings {
    pub(super) fn of(entries: &[Py<Entry>]) -> Self {
        let mut listings = Self::default();
        for (index, entry) in entries.iter().map(Py::get).enumerate() {
            if entry.http {
                listings.http.add(index, entry);
            }
            if entry.websocket {
                listings.websocket.add(index, entry);
            }
        }
        listings
    }

    /// The entries for a scope type, none for one that no route answers, or that lacks the method of its type.
    pub(super) fn for_type(&self, kind: &Bound<'_, PyString>, has_method: bool) -> Option<&Listing> {
        if kind == "http" && has_method {
            Some(&self.http)
        } else if kind == "websocket" {
            Some(&self.websocket)
        } else {
            None
        }
    }
}

impl Listing {
    /// The path parameters of a match by a template, if it has any; not where one of them is no value.
    pub(super) fn path_params<'py>(
        &self,
        py: Python<'py>,
        (found, captures): (usize, &Captures<'_>),
    ) -> PyResult<PathParams<'py>> {
        let mut params = None;
        if let Some(template) = self.routes.template(found) {
            for ((name, convertor), text) in template.names().zip(template.convertors()).zip(captures.iter()) {
                match convert(py, convertor, text)? {
                    Some(value) => params.get_or_insert_with(|| PyDict::new(py)).set_item(name, value)?,
                    None => return Ok(Err(Unusual)),
                }
            }
        }
        Ok(Ok(params))
    }

    fn add(&mut self, index: usize, entry: &Entry) {
        match &entry.template {
            Some(template) => self.routes.insert(template.clone(), index),
            None => self.matched_by_python.push(index),
        }
    }
}

/// The value of a captured text; none if it is too long to be that number.
fn convert<'py>(py: Python<'py>, convertor: Convertor, text: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    Ok(Some(match convertor {
        Convertor::Str | Convertor::Path => PyString::new(py, text).into_any(),
        Convertor::Int => match text.parse::<i64>() {
            Ok(number) => number.into_pyobject(py)?.into_any(),
            Err(_) => match py.get_type::<PyInt>().call1((text,)) {
                Ok(number) => number,
                Err(_) => return Ok(None),
            },
        },
        Convertor::Float => py.get_type::<PyFloat>().call1((text,))?,
        Convertor::Uuid => names::uuid(py)?.call1((text,))?,
    }))
}
