//! One node of the dependency graph, in call order: its callable, its arguments, its place in the cache.

use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use super::param::{Absent, Parameter};

/// How a node's callable is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It returns an awaitable, which is awaited on the event loop.
    Coroutine,
    /// A plain callable: called in a worker thread.
    Plain,
    /// A generator function: run to its `yield` in a worker thread, and to its end after the endpoint or the response.
    Generator,
    /// An async generator function: the same, on the event loop.
    AsyncGenerator,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Each value is a field of a url-encoded form.
    Form(Vec<Parameter>),
}

/// One node: a dependency, or the endpoint itself.
#[derive(Debug)]
pub(crate) struct Node {
    /// What is called.
    pub(crate) call: Py<PyAny>,
    /// How it is called.
    pub(crate) kind: Kind,
    /// How its result is read without a call, if it is a security scheme.
    pub(crate) scheme: Option<Scheme>,
    /// Parameters from path, query, headers and cookies, in FastAPI's order.
    pub(crate) parameters: Vec<Parameter>,
    /// Whether its parameters need the Python leaf (parameter models, sequences in cookies, ...).
    pub(crate) leaf: bool,
    /// What it takes from the body.
    pub(crate) body: BodyShape,
    /// Arguments that come from the request itself, in FastAPI's order.
    pub(crate) specials: Vec<Special>,
    /// The nodes whose results are its first arguments.
    pub(crate) arguments_from: Vec<usize>,
    /// The nodes that must have succeeded before it is called (those above, and unnamed ones).
    pub(crate) children: Vec<usize>,
    /// The names of all its arguments, in the order they are laid out.
    pub(crate) keywords: Py<PyTuple>,
    /// Its place in the dependency cache.
    pub(crate) cache: usize,
    /// Whether a cached result may be used.
    pub(crate) use_cache: bool,
    /// Whether it closes before the response is sent rather than after.
    pub(crate) function_scope: bool,
    /// The `Dependant`, for the Python leaves.
    pub(crate) dependant: Py<PyAny>,
}

/// One step of the graph, in call order.
#[derive(Debug)]
pub(crate) enum Step {
    /// If the cache holds the result of `node`, take it and go on at `next`: its sub-dependencies are not visited again.
    Reuse { node: usize, next: usize },
    /// Solve and call this node.
    Call(usize),
}
