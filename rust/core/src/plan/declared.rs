//! What Python hands over of a path operation: frozen classes with keyword constructors, which `build` makes a plan of.
//!
//! Each says by its types what it may hold, so that type checkers see what is wrong before anything is compiled.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use pyo3::{PyTraverseError, PyVisit};

use super::dependency::{self, CallKind, Child, Credentials, Positional};
use super::param;
use crate::teardown::Lifetime;

/// Where a value is read from.
#[pyclass(frozen, eq, hash, from_py_object, rename_all = "SCREAMING_SNAKE_CASE", module = "ferroapi._core")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    Path,
    Query,
    Header,
    Cookie,
    Body,
}

impl Source {
    /// What the `loc` of an error calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
            Self::Cookie => "cookie",
            Self::Body => "body",
        }
    }
}

/// What a node takes from the body.
#[pyclass(frozen, eq, hash, from_py_object, rename_all = "SCREAMING_SNAKE_CASE", module = "ferroapi._core")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum BodyKind {
    /// Nothing.
    Nothing,
    /// Its one field is the whole body.
    Whole,
    /// Its fields are keys of a JSON object.
    Embedded,
    /// Its fields are those of a form.
    Form,
    /// Whatever the Python leaf makes of it.
    Leaf,
}

/// How the request's body is read.
#[pyclass(frozen, eq, hash, from_py_object, rename_all = "SCREAMING_SNAKE_CASE", module = "ferroapi._core")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reading {
    /// Not at all.
    Unread,
    /// As JSON where its content type says so.
    Json,
    /// As JSON where its content type says so, or is missing.
    LenientJson,
    /// As a form within Starlette's own limits.
    Form,
    /// As a form within limits of the route's own.
    LimitedForm,
}

impl Reading {
    pub(crate) fn is_form(self) -> bool {
        matches!(self, Self::Form | Self::LimitedForm)
    }
}

/// What pydantic makes of most texts, where that is known without asking it.
#[pyclass(frozen, eq, from_py_object, module = "ferroapi._core")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scalar(pub(super) param::Scalar);

#[pymethods]
impl Scalar {
    /// The text itself, whatever it is.
    #[staticmethod]
    fn text() -> Self {
        Self(param::Scalar::Text)
    }

    /// The truth value that it stands for.
    #[staticmethod]
    fn truth() -> Self {
        Self(param::Scalar::Truth)
    }

    /// The integer that it stands for, from `least` to `most`.
    #[staticmethod]
    fn integer(least: i64, most: i64) -> Self {
        Self(param::Scalar::Integer { least, most })
    }

    /// The number that it stands for, likewise.
    #[staticmethod]
    fn number(least: f64, most: f64) -> Self {
        Self(param::Scalar::Number { least, most })
    }
}

/// What stands for a value that the request does not carry.
#[pyclass(frozen, module = "ferroapi._core")]
#[derive(Debug)]
pub(crate) struct Absent(pub(crate) param::Absent);

#[pymethods]
impl Absent {
    /// An error: the value is required.
    #[staticmethod]
    fn missing() -> Self {
        Self(param::Absent::Missing)
    }

    /// This immutable object, as it is.
    #[staticmethod]
    fn constant(value: Py<PyAny>) -> Self {
        Self(param::Absent::Constant(value))
    }

    /// The result of this call, made anew for each request.
    #[staticmethod]
    fn made(make: Py<PyAny>) -> Self {
        Self(param::Absent::Made(make))
    }

    /// The result of this call, which is then validated like a received value.
    #[staticmethod]
    fn made_then_validated(make: Py<PyAny>) -> Self {
        Self(param::Absent::MadeThenValidated(make))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match &self.0 {
            param::Absent::Missing => Ok(()),
            param::Absent::Constant(object)
            | param::Absent::Made(object)
            | param::Absent::MadeThenValidated(object) => visit.call(object),
        }
    }
}

/// One parameter or body field.
#[pyclass(frozen, module = "ferroapi._core")]
#[derive(Debug)]
pub(crate) struct Parameter {
    pub(crate) source: Source,
    pub(crate) aliases: Vec<Py<PyString>>,
    pub(crate) many: bool,
    pub(crate) absent: Py<Absent>,
    pub(crate) validate: Py<PyAny>,
    pub(crate) scalar: Option<Scalar>,
}

#[pymethods]
impl Parameter {
    /// A parameter with its aliases, the preferred one first.
    #[new]
    #[pyo3(signature = (*, source, aliases, many, absent, validate, scalar))]
    fn new(
        source: Source,
        aliases: Vec<Py<PyString>>,
        many: bool,
        absent: Py<Absent>,
        validate: Py<PyAny>,
        scalar: Option<Scalar>,
    ) -> Self {
        Self { source, aliases, many, absent, validate, scalar }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.absent)?;
        visit.call(&self.validate)
    }
}

/// A security scheme whose credentials are read without calling it.
#[pyclass(frozen, module = "ferroapi._core")]
#[derive(Debug)]
pub(crate) struct Scheme {
    pub(crate) source: Source,
    pub(crate) alias: Py<PyString>,
    #[pyo3(get)]
    pub(crate) form: Credentials,
}

#[pymethods]
impl Scheme {
    /// A scheme with the name of what carries its credentials, and their form.
    #[new]
    #[pyo3(signature = (*, source, alias, form))]
    fn new(source: Source, alias: Py<PyString>, form: Credentials) -> Self {
        Self { source, alias, form }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.alias)
    }
}

/// An argument that is not a value of the request.
#[pyclass(frozen, module = "ferroapi._core")]
#[derive(Debug)]
pub(crate) struct Special(pub(crate) dependency::Special);

#[pymethods]
impl Special {
    /// The `Request`, or the `WebSocket`.
    #[staticmethod]
    fn request() -> Self {
        Self(dependency::Special::Request)
    }

    /// The shared `BackgroundTasks`.
    #[staticmethod]
    fn background_tasks() -> Self {
        Self(dependency::Special::BackgroundTasks)
    }

    /// The shared `Response` for headers, cookies and status.
    #[staticmethod]
    fn response() -> Self {
        Self(dependency::Special::Response)
    }

    /// The result of this call.
    #[staticmethod]
    fn security_scopes(make: Py<PyAny>) -> Self {
        Self(dependency::Special::SecurityScopes(make))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let dependency::Special::SecurityScopes(make) = &self.0 { visit.call(make) } else { Ok(()) }
    }
}

/// One step of the graph, in call order.
#[pyclass(frozen, from_py_object, module = "ferroapi._core")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step(pub(crate) dependency::Step);

#[pymethods]
impl Step {
    /// Take the cached result of a node, if there is one, and go on at the step `next`.
    #[staticmethod]
    fn reuse(node: usize, next: usize) -> Self {
        Self(dependency::Step::Reuse { node, next })
    }

    /// Solve and call a node.
    #[staticmethod]
    fn call(node: usize) -> Self {
        Self(dependency::Step::Call(node))
    }

    /// Look a dependency up among the overrides.
    #[staticmethod]
    fn look_up(lookup: usize) -> Self {
        Self(dependency::Step::LookUp(lookup))
    }
}

/// One dependency, or the endpoint.
#[pyclass(frozen, module = "ferroapi._core")]
#[derive(Debug)]
pub(crate) struct Node {
    /// What is called.
    pub(crate) call: Py<PyAny>,
    /// How it is called.
    #[pyo3(get)]
    pub(crate) kind: CallKind,
    /// Whether nothing of the application's runs until it is called: its arguments are collected on any thread.
    pub(crate) is_silent: bool,
    #[pyo3(get)]
    pub(super) scheme: Option<Py<Scheme>>,
    pub(super) parameters: Vec<Py<Parameter>>,
    /// Whether its parameters need the Python leaf (parameter models, sequences in cookies, ...).
    pub(crate) leaf: bool,
    pub(super) body: BodyKind,
    pub(super) body_fields: Vec<Py<Parameter>>,
    /// Arguments that come from the request itself, in FastAPI's order.
    pub(crate) specials: Vec<Py<Special>>,
    /// The nodes that must have succeeded before it is called; the results of some are its first arguments.
    pub(crate) children: Vec<Child>,
    /// The names of all its arguments, in the order they are laid out.
    pub(crate) keywords: Py<PyTuple>,
    /// How it takes them by position, if it can.
    pub(crate) positional: Option<Py<Positional>>,
    pub(super) cache: usize,
    pub(super) use_cache: bool,
    /// When it closes, if it is a generator.
    pub(crate) lifetime: Lifetime,
    /// The `Dependant`, for the Python leaves.
    #[pyo3(get)]
    pub(crate) dependant: Py<PyAny>,
}

#[pymethods]
impl Node {
    /// A node, which depends on `children`; `keywords` are the names of all arguments as they are laid out.
    #[new]
    #[pyo3(signature = (
        *, call, kind, dependant, keywords, lifetime, is_silent=false, scheme=None, parameters=Vec::new(), leaf=false,
        body=BodyKind::Nothing, body_fields=Vec::new(), specials=Vec::new(), children=Vec::new(), positional=None, cache=0,
        use_cache=false
    ))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords")]
    fn new(
        call: Py<PyAny>,
        kind: CallKind,
        dependant: Py<PyAny>,
        keywords: Py<PyTuple>,
        lifetime: Lifetime,
        is_silent: bool,
        scheme: Option<Py<Scheme>>,
        parameters: Vec<Py<Parameter>>,
        leaf: bool,
        body: BodyKind,
        body_fields: Vec<Py<Parameter>>,
        specials: Vec<Py<Special>>,
        children: Vec<Child>,
        positional: Option<Py<Positional>>,
        cache: usize,
        use_cache: bool,
    ) -> PyResult<Self> {
        if body == BodyKind::Whole && body_fields.len() != 1 {
            return Err(PyValueError::new_err("the whole body is one field"));
        }
        Ok(Self {
            call,
            kind,
            is_silent: is_silent && kind != CallKind::WrappedGenerator,
            scheme,
            parameters,
            leaf,
            body,
            body_fields,
            specials,
            children,
            keywords,
            positional,
            cache,
            use_cache,
            lifetime,
            dependant,
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.call)?;
        visit.call(&self.dependant)?;
        visit.call(&self.positional)?;
        self.parameters.iter().chain(&self.body_fields).try_for_each(|parameter| visit.call(parameter))?;
        self.specials.iter().try_for_each(|special| visit.call(special))
    }
}
