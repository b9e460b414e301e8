//! What a graph of dependencies is made of: how they are called, what they are given, and the steps through them.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

/// How a node's callable is called.
#[pyclass(frozen, eq, hash, from_py_object, rename_all = "SCREAMING_SNAKE_CASE", module = "ferroapi._core")]
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
    /// A dependency that lives as long as the application, which may have its value; else as an async generator function.
    Lifespan,
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
        matches!(self, Self::Generator | Self::WrappedGenerator | Self::AsyncGenerator | Self::Lifespan)
    }
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

/// How a function takes all its arguments by position.
#[pyclass(frozen, module = "ferroapi._core")]
#[derive(Debug)]
pub(crate) struct Positional {
    /// The code of the function; with any other it is called by keyword.
    pub(super) code: Py<PyAny>,
    /// How many arguments it takes.
    pub(super) count: usize,
    /// The pairs of arguments that change places, one after the other.
    pub(super) swaps: Vec<(usize, usize)>,
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
