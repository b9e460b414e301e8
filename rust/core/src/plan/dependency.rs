//! One node of the dependency graph, in call order: its callable, its arguments, its place in the cache.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use pyo3::{PyTraverseError, PyVisit};

use super::param::{Absent, Parameter};
use crate::ffi;
use crate::teardown::Lifetime;

/// How a node's callable is called.
#[pyclass(
    frozen,
    eq,
    hash,
    from_py_object,
    name = "CallKind",
    rename_all = "SCREAMING_SNAKE_CASE",
    module = "ferroapi._core"
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CallKind {
    /// It returns an awaitable, which is awaited on the event loop.
    Coroutine,
    /// An endpoint that is a stream: its values are its result, and Python calls it when the answer is made.
    Stream,
    /// A plain callable: called in a worker thread.
    Plain,
    /// A generator function: run to its `yield` in a worker thread, and to its end after the endpoint or the response.
    Generator,
    /// A function around one, whose own code makes the generator on the event loop.
    WrappedGenerator,
    /// An async generator function: the same, on the event loop.
    AsyncGenerator,
    /// A callable that Python calls: only so many of its calls may be under way, or two of its arguments have one name.
    ByPython,
    /// The same of a generator function, which Python enters in an exit stack.
    GeneratorByPython,
}

impl CallKind {
    /// Whether it is called in a worker thread.
    pub(crate) fn is_for_thread(self) -> bool {
        matches!(self, Self::Plain | Self::Generator | Self::WrappedGenerator)
    }

    /// Whether it has an end of its own, after its `yield`.
    pub(crate) fn is_generator(self) -> bool {
        matches!(self, Self::Generator | Self::WrappedGenerator | Self::AsyncGenerator)
    }
}

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

/// The form of a scheme's credentials.
#[pyclass(frozen, eq, hash, from_py_object, rename_all = "SCREAMING_SNAKE_CASE", module = "ferroapi._core")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Credentials {
    /// Any text that is not empty is the key.
    Key,
    /// `Bearer` and a token, which is the value.
    Token,
    /// A scheme and what follows it, of which `HTTPAuthorizationCredentials` are made.
    Any,
    /// The same, of the scheme `Bearer`.
    Bearer,
    /// The same, of the scheme `Digest`.
    Digest,
    /// `Basic`, with a user and a password in base64, of which `HTTPBasicCredentials` are made.
    Basic,
}

/// An argument that is not a parameter of the request.
#[derive(Debug)]
pub(crate) enum Special {
    /// The `Request` (also as `HTTPConnection`).
    Request,
    /// The shared `BackgroundTasks`.
    BackgroundTasks,
    /// The shared `Response` for headers, cookies and status.
    Response,
    /// A new `SecurityScopes`, made by this call.
    SecurityScopes(Py<PyAny>),
}

impl Special {
    pub(super) fn clone_ref(&self, py: Python<'_>) -> Self {
        match self {
            Self::Request => Self::Request,
            Self::BackgroundTasks => Self::BackgroundTasks,
            Self::Response => Self::Response,
            Self::SecurityScopes(make) => Self::SecurityScopes(make.clone_ref(py)),
        }
    }
}

/// One key of an embedded JSON body.
#[derive(Debug)]
pub(crate) struct BodyField {
    /// The keys that are looked up, preferred first.
    pub(crate) aliases: Vec<Py<PyString>>,
    /// The `loc` of its errors, for each alias.
    pub(crate) locations: Vec<Py<PyTuple>>,
    /// What it is when absent.
    pub(crate) absent: Absent,
    /// `SchemaValidator.validate_python`, bound.
    pub(crate) validator: Py<PyAny>,
    /// The `ModelField`, for the error path.
    pub(crate) field: Py<PyAny>,
}

/// What a node takes from the body.
#[derive(Debug)]
pub(crate) enum BodyShape {
    /// Nothing.
    None,
    /// The whole body is one value.
    Whole(Box<BodyField>),
    /// Each value is a key of a JSON object.
    Embedded(Vec<BodyField>),
    /// Each value is a field of a form.
    Form(Vec<Parameter>),
    /// Whatever the Python leaf makes of it, which may take a while: models of a form, the content of files.
    Leaf,
}

/// How a function takes all its arguments by position.
#[pyclass(frozen, module = "ferroapi._core")]
#[derive(Debug)]
pub(crate) struct Positional {
    /// The code of the function; with any other it is called by keyword.
    code: Py<PyAny>,
    /// How many arguments it takes.
    count: usize,
    /// The pairs of arguments that change places, one after the other.
    swaps: Vec<(usize, usize)>,
}

#[pymethods]
impl Positional {
    /// The function whose code is `code` takes each argument at its place.
    ///
    /// # Errors
    /// `ValueError`: an argument has not a place of its own.
    #[new]
    #[pyo3(signature = (*, code, places))]
    fn new(code: Py<PyAny>, mut places: Vec<usize>) -> PyResult<Self> {
        let count = places.len();
        let mut swaps = Vec::new();
        for index in 0..count {
            // The argument that is here now has to go elsewhere, and the one in its place comes here.
            while let Some(place) = places.get(index).copied().filter(|place| *place != index) {
                if place >= count || swaps.len() >= count {
                    return Err(PyValueError::new_err("each argument has a place of its own"));
                }
                swaps.push((index, place));
                places.swap(index, place);
            }
        }
        Ok(Self { code, count, swaps })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.code)
    }
}

/// A node that another one depends on.
#[pyclass(frozen, from_py_object, module = "ferroapi._core")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Child {
    /// Its index.
    pub(crate) node: usize,
    /// Whether its result is an argument.
    pub(crate) is_argument: bool,
}

#[pymethods]
impl Child {
    /// The node at this index.
    #[new]
    #[pyo3(signature = (*, node, is_argument))]
    fn new(node: usize, is_argument: bool) -> Self {
        Self { node, is_argument }
    }
}

/// One node: a dependency, or the endpoint itself.
#[derive(Debug)]
pub(crate) struct Node {
    /// What is called.
    pub(crate) call: Py<PyAny>,
    /// How it is called.
    pub(crate) kind: CallKind,
    /// How its result is read without a call, if it is a security scheme.
    pub(crate) scheme: Option<Scheme>,
    /// Parameters from path, query, headers and cookies, in FastAPI's order.
    pub(crate) parameters: Vec<Parameter>,
    /// Whether nothing of the application's runs until it is called: its arguments are collected on any thread.
    pub(crate) is_silent: bool,
    /// Whether its parameters need the Python leaf (parameter models, sequences in cookies, ...).
    pub(crate) leaf: bool,
    /// What it takes from the body.
    pub(crate) body: BodyShape,
    /// Arguments that come from the request itself, in FastAPI's order.
    pub(crate) specials: Vec<Special>,
    /// The nodes that must have succeeded before it is called; the results of some are its first arguments.
    pub(crate) children: Vec<Child>,
    /// The names of all its arguments, in the order they are laid out.
    pub(crate) keywords: Py<PyTuple>,
    /// How it takes them by position, if it can.
    pub(crate) positional: Option<Py<Positional>>,
    /// The place of its result in the dependency cache, if another node has the same.
    pub(crate) cache: Option<usize>,
    /// Whether a cached result may be used.
    pub(crate) reuses: bool,
    /// When it closes, if it is a generator.
    pub(crate) lifetime: Lifetime,
    /// The `Dependant`, for the Python leaves.
    pub(crate) dependant: Py<PyAny>,
}

impl Node {
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

/// One step of the graph, in call order.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// If the cache holds the result of `node`, take it and go on at `next`: its sub-dependencies are not visited again.
    Reuse { node: usize, next: usize },
    /// Solve and call this node.
    Call(usize),
    /// Look a dependency up among the overrides, and go on with the plan for the answer.
    LookUp(usize),
}
