//! A path operation's frozen recipe: compiled once, at its first match, and run for every request.

pub(crate) mod answer;
pub(crate) mod build;
pub(crate) mod declared;
pub(crate) mod dependency;
pub(crate) mod node;
pub(crate) mod overrides;
pub(crate) mod param;

use std::sync::{Arc, OnceLock};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;
use pyo3::{PyTraverseError, PyVisit};

pub(crate) use answer::{Answer, ContentType, Render};
pub(crate) use declared::Reading;
use dependency::{CallKind, Step};
use node::Node;
use overrides::{Lookup, Variants};
use param::Scalar;

use crate::attribute::Attribute;
use crate::snapshot::Snapshot;
use crate::witness::{Parts, Witness};
use crate::worker_thread::ShortCalls;

/// One name that is collected from the request, and where its text is kept.
#[derive(Debug)]
pub(crate) struct Key<T> {
    pub(crate) text: T,
    /// The index among the collected values.
    pub(crate) slot: usize,
    pub(crate) kept: Kept,
}

/// What is kept of a name's texts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kept {
    /// All of them, as a list.
    All,
    /// One of them.
    One,
    /// What one of them stands for.
    Scalar(Scalar),
}

/// Everything that is collected from a request before its nodes are solved.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    pub(crate) path: Vec<Key<Py<PyString>>>,
    pub(crate) query: Vec<Key<String>>,
    /// Lower case, as ASGI servers send them.
    pub(crate) header: Vec<Key<Vec<u8>>>,
    pub(crate) cookie: Vec<Key<String>>,
    /// Fields of a url-encoded body.
    pub(crate) form: Vec<Key<String>>,
    /// How many values there are.
    pub(crate) count: usize,
}

/// A path operation, compiled.
#[pyclass(frozen, module = "ferroapi._core")]
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) keys: Keys,
    pub(crate) body: Reading,
    /// Dependencies by occurrence; the last one is the endpoint.
    pub(crate) nodes: Vec<Node>,
    pub(crate) steps: Vec<Step>,
    /// How many distinct results the dependency cache can hold.
    pub(crate) cache_size: usize,
    /// Whether a worker thread calls more than one thing for a request, each in a context of its own.
    pub(crate) shares_thread: bool,
    /// Whether Python enters something in the exit stacks: user code that receives the `Request`, in whose scope they
    /// are, or a generator that has to wait for its turn.
    pub(crate) opens_stacks: bool,
    /// Whether any node is a generator, which has to be closed.
    pub(crate) has_generators: bool,
    pub(crate) answer: Py<Answer>,
    /// How long its calls in worker threads take, and those that end generators.
    pub(crate) short_calls: ShortCalls,
    pub(crate) short_teardown: ShortCalls,
    /// The parts of the engine that it is run by.
    #[pyo3(get)]
    pub(crate) parts: Parts,
    /// Those of them that Python can do by name, while such a name is replaced.
    pub(crate) named: NamedParts,
    /// What it was compiled from: the dependency graph and the fields, which user code may edit.
    pub(crate) source: Py<Snapshot>,
    /// Whether they still stand for what they stood for.
    pub(crate) witness: Arc<Witness>,
    /// The `dependency_overrides` of what holds them.
    pub(crate) overrides: Option<Attribute>,
    /// What is looked up there.
    pub(crate) lookups: Vec<Py<Lookup>>,
    /// The plans for other answers, in the one for no overrides.
    pub(crate) variants: Variants,
    /// The plan that calls the operation's handler, once a request has needed it.
    calling: OnceLock<Option<Py<Plan>>>,
    /// The errors that the endpoint may return as its answer, if its annotation names some.
    pub(crate) returned_errors: Option<Py<PyAny>>,
    /// The `PathOperation` this was compiled from, for the Python side of the path.
    #[pyo3(get)]
    pub(crate) operation: Py<PyAny>,
}

/// The parts of a plan that Python can do by name, by what is called; none where it cannot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NamedParts {
    pub(crate) steps: Parts,
    pub(crate) serialization: Parts,
    pub(crate) request: Parts,
}

/// What Python does of a request by name, since such a name is replaced.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ByName {
    /// Solve the dependencies and call the endpoint.
    pub(crate) steps: bool,
    /// Serialize what the endpoint has returned.
    pub(crate) serialization: bool,
    /// Make the `Request`, before anything else, and read the body from it.
    pub(crate) request: bool,
}

/// The plan that runs a request.
#[derive(Clone, Copy)]
pub(crate) struct Holding<'a> {
    pub(crate) plan: &'a Py<Plan>,
    pub(crate) by_name: ByName,
}

/// Whether what the endpoint returns is validated in a worker thread, as FastAPI does for a plain function.
fn validates_in_thread(nodes: &[Node], answer: &Answer) -> bool {
    nodes.last().is_some_and(|endpoint| endpoint.kind == CallKind::Plain)
        && matches!(answer.render, Render::Model { .. })
}

impl Plan {
    /// Whether nobody has edited what the plan was compiled from.
    ///
    /// # Errors
    /// Those of an attribute that is computed.
    #[inline]
    pub(crate) fn is_true_to_its_source(&self, py: Python<'_>) -> PyResult<bool> {
        self.source.get().is_current(py)
    }

    /// What runs a request that has also been through `passed`: this plan, or the one that calls the handler, as long as
    /// something that this one stands for is replaced; none if that stands for it, too.
    ///
    /// # Errors
    /// Whatever making that plan raises.
    #[inline]
    pub(crate) fn holding<'a>(this: &'a Py<Self>, py: Python<'_>, passed: Parts) -> PyResult<Option<Holding<'a>>> {
        if this.get().holds(py, passed)? {
            Ok(Some(Holding { plan: this, by_name: ByName::default() }))
        } else {
            Self::holding_otherwise(this, py, passed)
        }
    }

    #[cold]
    fn holding_otherwise<'a>(this: &'a Py<Self>, py: Python<'_>, passed: Parts) -> PyResult<Option<Holding<'a>>> {
        if let Some(by_name) = this.get().by_name(py, passed)? {
            return Ok(Some(Holding { plan: this, by_name }));
        }
        let Some(plan) = this.get().calling(py)? else { return Ok(None) };
        Ok(plan.get().by_name(py, passed)?.map(|by_name| Holding { plan, by_name }))
    }

    fn calling(&self, py: Python<'_>) -> PyResult<Option<&Py<Self>>> {
        let calling = if let Some(calling) = self.calling.get() {
            calling
        } else {
            // No lock is held while Python makes it: the first one is kept.
            let made = self.operation.bind(py).getattr(intern!(py, "calling_plan"))?.extract()?;
            self.calling.get_or_init(|| made)
        };
        Ok(calling.as_ref())
    }

    /// Whether what the endpoint returns is validated in a worker thread.
    pub(crate) fn validates_in_thread(&self) -> bool {
        validates_in_thread(&self.nodes, self.answer.get())
    }

    /// Visit every object of the plan that could lead back to it: an application and its plans hold each other.
    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.returned_errors)?;
        visit.call(&self.operation)?;
        visit.call(&self.source)?;
        visit.call(&self.answer)?;
        self.overrides.iter().try_for_each(|overrides| overrides.visit(visit))?;
        self.lookups.iter().try_for_each(|lookup| visit.call(lookup))?;
        self.variants.visit(visit)?;
        self.calling.get().map_or(Ok(()), |calling| visit.call(calling))?;
        self.nodes.iter().try_for_each(|node| node.visit(visit))
    }
}
