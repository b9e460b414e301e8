//! One node of the dependency graph, in call order: its callable, its arguments, its place in the cache.

use std::ops::Deref;
use std::slice;

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use pyo3::{PyTraverseError, PyVisit};
use smallvec::SmallVec;

use super::declared;
use super::dependency::{Credentials, Positional};
use crate::ffi;

/// A security scheme whose credentials are read without calling it.
///
/// Where they are missing or of another form, the scheme itself is called, which refuses in its own way, unless it is
/// known to be content without.
#[derive(Debug)]
pub(crate) struct Scheme {
    /// Where the header, query parameter or cookie is kept among the collected values.
    pub(crate) slot: usize,
    pub(crate) form: Credentials,
}

/// One parameter or body field.
#[derive(Debug)]
pub(crate) struct Parameter {
    /// The places of its aliases among the plan's collected values, preferred first; none of a JSON body's.
    pub(crate) slots: SmallVec<[usize; 1]>,
    /// The `loc` of its errors, for each alias.
    pub(crate) locations: SmallVec<[Py<PyTuple>; 1]>,
    pub(crate) declared: Py<declared::Parameter>,
}

/// What a node takes from the body.
#[derive(Debug)]
pub(crate) enum BodyShape {
    /// Nothing.
    None,
    /// The whole body is one value.
    Whole(Box<Parameter>),
    /// Each value is a key of a JSON object.
    Embedded(Vec<Parameter>),
    /// Each value is a field of a form.
    Form(Vec<Parameter>),
    /// Whatever the Python leaf makes of it, which may take a while: models of a form, the content of files.
    Leaf,
}

/// One node: a dependency, or the endpoint itself, as it was declared, and what was made of that.
#[derive(Debug)]
pub(crate) struct Node {
    pub(super) declared: Py<declared::Node>,
    /// How its result is read without a call, if it is a security scheme.
    pub(crate) scheme: Option<Scheme>,
    /// Parameters from path, query, headers and cookies, in FastAPI's order.
    pub(crate) parameters: Vec<Parameter>,
    /// What it takes from the body.
    pub(crate) body: BodyShape,
    /// The place of its result in the dependency cache, if another node has the same.
    pub(crate) cache: Option<usize>,
    /// Whether a cached result may be used.
    pub(crate) reuses: bool,
}

impl Deref for Node {
    type Target = declared::Node;

    #[inline]
    fn deref(&self) -> &declared::Node {
        self.declared.get()
    }
}

impl Node {
    pub(super) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.declared)?;
        let fields = match &self.body {
            BodyShape::Whole(field) => slice::from_ref(&**field),
            BodyShape::Embedded(fields) | BodyShape::Form(fields) => fields,
            BodyShape::None | BodyShape::Leaf => &[],
        };
        self.parameters.iter().chain(fields).try_for_each(|each| visit.call(&each.declared))
    }

    /// Call it with all its arguments: by position where that is the same, because names take time to be matched.
    ///
    /// # Errors
    /// Whatever the call raises.
    pub(crate) fn call<'py>(&self, py: Python<'py>, arguments: &mut [Py<PyAny>]) -> PyResult<Bound<'py, PyAny>> {
        let callable = self.call.bind(py);
        match self.positional.as_ref().map(Py::get) {
            Some(Positional { code, count, swaps })
                if *count == arguments.len() && ffi::is_function_of(callable, code) =>
            {
                for (left, right) in swaps {
                    arguments.swap(*left, *right);
                }
                ffi::vectorcall(callable, arguments, None)
            }
            _ => ffi::vectorcall(callable, arguments, Some(self.keywords.bind(py))),
        }
    }
}
