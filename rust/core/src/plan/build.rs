//! Python's description of a path operation (`ferroapi._engine.compile`) becomes a `Plan`: every check of the build is here.

use std::sync::OnceLock;

use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use pyo3::{PyTraverseError, PyVisit};
use smallvec::{SmallVec, smallvec};

use super::declared::{self, BodyKind, Reading, Source};
use super::dependency::{CallKind, Special, Step};
use super::node::{BodyShape, Node, Parameter, Scheme};
use super::overrides::{Lookup, Variants};
use super::{Answer, ByName, Kept, Key, Keys, NamedParts, Plan, Render, validates_in_thread};
use crate::attribute::Attribute;
use crate::error::guarded;
use crate::snapshot::Snapshot;
use crate::witness::{self, Parts};
use crate::worker_thread::ShortCalls;

/// The `loc` of an error: the source, then the alias.
fn location<'py>(py: Python<'py>, source: Source, alias: &Bound<'py, PyString>) -> PyResult<Py<PyTuple>> {
    Ok(PyTuple::new(py, [PyString::new(py, source.name()).as_any(), alias.as_any()])?.unbind())
}

impl Keys {
    /// The slot of `alias` in `source`, made if it is new.
    fn slot(&mut self, source: Source, alias: &Bound<'_, PyString>, kept: Kept) -> PyResult<usize> {
        fn place<T: PartialEq>(keys: &mut Vec<Key<T>>, count: &mut usize, text: T, kept: Kept) -> usize {
            if let Some(known) = keys.iter().find(|key| key.text == text && key.kept == kept) {
                return known.slot;
            }
            let slot = *count;
            *count += 1;
            keys.push(Key { text, slot, kept });
            slot
        }
        let count = &mut self.count;
        let text = alias.to_str()?;
        Ok(match source {
            Source::Path => {
                let slot = *count;
                *count += 1;
                self.path.push(Key { text: alias.clone().unbind(), slot, kept });
                slot
            }
            Source::Query => place(&mut self.query, count, text.to_owned(), kept),
            Source::Header => place(&mut self.header, count, latin_1_lower(text), kept),
            Source::Cookie => place(&mut self.cookie, count, text.to_owned(), kept),
            Source::Body => place(&mut self.form, count, text.to_owned(), kept),
        })
    }
}

/// A header name as bytes; one that latin-1 cannot write matches no header.
///
/// Source: `starlette.datastructures.Headers.__getitem__`.
fn latin_1_lower(name: &str) -> Vec<u8> {
    name.to_lowercase().chars().map(|character| u8::try_from(u32::from(character)).unwrap_or(b' ')).collect()
}

fn parameter(py: Python<'_>, declared: &Py<declared::Parameter>, keys: &mut Keys) -> PyResult<Parameter> {
    let described = declared.get();
    let kept = match described.scalar {
        _ if described.many => Kept::All,
        Some(scalar) => Kept::Scalar(scalar.0),
        None => Kept::One,
    };
    let mut slots = SmallVec::new();
    let mut locations = SmallVec::new();
    for alias in &described.aliases {
        let alias = alias.bind(py);
        slots.push(keys.slot(described.source, alias, kept)?);
        locations.push(location(py, described.source, alias)?);
    }
    Ok(Parameter { slots, locations, declared: declared.clone_ref(py) })
}

fn body_field(py: Python<'_>, declared: &Py<declared::Parameter>, whole: bool) -> PyResult<Parameter> {
    let locations = if whole {
        smallvec![PyTuple::new(py, [Source::Body.name()])?.unbind()]
    } else {
        let aliases = declared.get().aliases.iter();
        aliases.map(|alias| location(py, Source::Body, alias.bind(py))).collect::<PyResult<_>>()?
    };
    Ok(Parameter { slots: SmallVec::new(), locations, declared: declared.clone_ref(py) })
}

/// Where results are kept that more than one node may take.
struct Cache {
    keys: Vec<usize>,
}

impl Cache {
    fn of(nodes: &[Py<declared::Node>]) -> Self {
        let mut keys: Vec<usize> = nodes.iter().map(|node| node.get().cache).collect();
        keys.sort_unstable();
        // What is left of a run of equal keys is all but its first.
        let mut before = None;
        keys.retain(|key| before.replace(*key) == Some(*key));
        keys.dedup();
        Self { keys }
    }

    fn place(&self, key: usize) -> Option<usize> {
        self.keys.binary_search(&key).ok()
    }
}

fn node(py: Python<'_>, declared: &Py<declared::Node>, keys: &mut Keys, cache: Option<usize>) -> PyResult<Node> {
    let described = declared.get();
    let scheme = match &described.scheme {
        None => None,
        Some(scheme) => {
            let scheme = scheme.get();
            Some(Scheme { slot: keys.slot(scheme.source, scheme.alias.bind(py), Kept::One)?, form: scheme.form })
        }
    };
    let mut fields = described.body_fields.iter();
    let body = match described.body {
        BodyKind::Nothing => BodyShape::None,
        BodyKind::Leaf => BodyShape::Leaf,
        BodyKind::Whole => match fields.next() {
            Some(only) => BodyShape::Whole(Box::new(body_field(py, only, true)?)),
            None => BodyShape::None,
        },
        BodyKind::Form => BodyShape::Form(fields.map(|field| parameter(py, field, keys)).collect::<PyResult<_>>()?),
        BodyKind::Embedded => {
            BodyShape::Embedded(fields.map(|field| body_field(py, field, false)).collect::<PyResult<_>>()?)
        }
    };
    Ok(Node {
        scheme,
        parameters: described.parameters.iter().map(|each| parameter(py, each, keys)).collect::<PyResult<_>>()?,
        body,
        reuses: described.use_cache && cache.is_some(),
        cache,
        declared: declared.clone_ref(py),
    })
}

/// The overrides of `provider`, or nothing if there is none to ask.
///
/// # Errors
/// Those of `Attribute::new`.
fn overrides_of(provider: &Bound<'_, PyAny>) -> PyResult<Option<Attribute>> {
    (!provider.is_none()).then(|| Attribute::new(provider, intern!(provider.py(), "dependency_overrides"))).transpose()
}

/// Refuse a node with more names than arguments, of which the last are named; how many a leaf gives is not known before.
///
/// # Errors
/// `ValueError`.
fn check_arguments(py: Python<'_>, node: &Node) -> PyResult<()> {
    let body = match &node.body {
        BodyShape::None | BodyShape::Leaf => 0,
        BodyShape::Whole(_) => 1,
        BodyShape::Embedded(fields) | BodyShape::Form(fields) => fields.len(),
    };
    let children = node.children.iter().filter(|child| child.is_argument).count();
    let (names, arguments) =
        (node.keywords.bind(py).len(), children + node.parameters.len() + body + node.specials.len());
    let has_leaf = node.leaf || matches!(node.body, BodyShape::Leaf);
    if names <= arguments || has_leaf {
        return Ok(());
    }
    Err(PyValueError::new_err(format!("{names} keyword names for {arguments} arguments")))
}

/// Refuse a graph with an index that leads out of it.
///
/// # Errors
/// `IndexError`.
fn check_graph(nodes: &[Node], steps: &[Step], lookups: usize) -> PyResult<()> {
    let inside = |index: &usize| *index < nodes.len();
    let leads_inside = |step: &Step| match step {
        Step::Reuse { node, next } => inside(node) && *next <= steps.len(),
        Step::Call(node) => inside(node),
        Step::LookUp(lookup) => *lookup < lookups,
    };
    let mut children = nodes.iter().flat_map(|node| &node.children);
    if nodes.is_empty() || !children.all(|child| inside(&child.node)) || !steps.iter().all(leads_inside) {
        return Err(PyIndexError::new_err("a plan has an index outside its graph"));
    }
    Ok(())
}

#[pymethods]
impl Plan {
    /// Compile a path operation: its dependencies in call order, the endpoint last, and the steps that lead through them.
    ///
    /// `lookups` are the dependencies that are looked up among the overrides; `named_steps`, `named_serialization` and
    /// `named_request` the parts that Python can do by name.
    #[new]
    #[pyo3(signature = (
        *, nodes, steps, lookups, body, answer, parts, named_steps=0, named_serialization=0, named_request=0,
        overrides_provider, source, operation
    ))]
    #[expect(clippy::too_many_arguments, clippy::needless_pass_by_value, reason = "they are Python's keywords")]
    fn new(
        py: Python<'_>,
        nodes: Vec<Py<declared::Node>>,
        steps: Vec<declared::Step>,
        lookups: Vec<Py<Lookup>>,
        body: Reading,
        answer: Py<Answer>,
        parts: Parts,
        named_steps: Parts,
        named_serialization: Parts,
        named_request: Parts,
        overrides_provider: &Bound<'_, PyAny>,
        source: Py<Snapshot>,
        operation: Py<PyAny>,
    ) -> PyResult<Self> {
        let mut keys = Keys::default();
        let cache = Cache::of(&nodes);
        let nodes: Vec<Node> = nodes
            .iter()
            .map(|declared| node(py, declared, &mut keys, cache.place(declared.get().cache)))
            .collect::<PyResult<_>>()?;
        let steps: Vec<Step> = steps.into_iter().map(|step| step.0).collect();
        check_graph(&nodes, &steps, lookups.len())?;
        nodes.iter().try_for_each(|node| check_arguments(py, node))?;
        let shows_request = |node: &Node| {
            // The value that an application has is found without a request.
            node.kind != CallKind::Lifespan
                && node.scheme.is_none()
                && node.specials.iter().any(|special| matches!(special.get().0, Special::Request))
        };
        let returned_errors = operation.bind(py).getattr_opt(intern!(py, "returned_errors"))?;
        let returned_errors = match returned_errors {
            Some(classes) if classes.is_truthy()? => Some(classes.unbind()),
            _ => None,
        };
        let in_threads = nodes.iter().filter(|node| node.kind.is_for_thread()).count();
        Ok(Self {
            body,
            opens_stacks: matches!(answer.get().render, Render::Stream { is_events: true })
                || nodes.iter().any(|node| shows_request(node) || node.kind == CallKind::GeneratorByPython),
            has_generators: nodes.iter().any(|node| node.kind.is_generator()),
            shares_thread: in_threads > 1 || validates_in_thread(&nodes, answer.get()),
            keys,
            steps,
            cache_size: cache.keys.len(),
            answer,
            short_calls: ShortCalls::default(),
            short_teardown: ShortCalls::default(),
            parts,
            named: NamedParts { steps: named_steps, serialization: named_serialization, request: named_request },
            witness: witness::of_parts(py, parts)?,
            // Only dependencies are looked up.
            overrides: if nodes.len() > 1 { overrides_of(overrides_provider)? } else { None },
            lookups,
            variants: Variants::default(),
            calling: OnceLock::new(),
            source,
            returned_errors,
            operation,
            nodes,
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.visit(&visit)
    }

    /// Whether the plan still says what is to be done: nothing that it stands for was replaced, but what is done by name.
    fn is_current(&self, py: Python<'_>) -> PyResult<bool> {
        guarded(|| Ok(self.by_name(py, 0)?.is_some()))
    }
}

impl Plan {
    /// The same, where the request has also been through `passed`.
    #[inline]
    pub(crate) fn holds(&self, py: Python<'_>, passed: Parts) -> PyResult<bool> {
        let parts = self.parts | passed;
        if self.lacks_overrides(py) {
            return Ok(self.witness.parts_replaced(py)? & parts == 0);
        }
        self.holds_overridden(py, parts)
    }

    #[cold]
    fn holds_overridden(&self, py: Python<'_>, parts: Parts) -> PyResult<bool> {
        // What stands in for a dependency may be run by other parts.
        let replaced = witness::replaced(py)?;
        Ok(replaced == 0 || (replaced & parts == 0 && !self.has_overrides(py)?))
    }

    /// What Python does by name for a request, none if that is not enough to do without what is replaced.
    ///
    /// # Errors
    /// Those of `Witness::parts_replaced`.
    pub(crate) fn by_name(&self, py: Python<'_>, passed: Parts) -> PyResult<Option<ByName>> {
        let lacks_overrides = self.lacks_overrides(py);
        let replaced = if lacks_overrides { self.witness.parts_replaced(py)? } else { witness::replaced(py)? };
        if replaced == 0 {
            return Ok(Some(ByName::default()));
        }
        let NamedParts { steps, serialization, request } = self.named;
        let others = replaced & !(serialization | request);
        let has_steps = replaced & steps != 0 || (!lacks_overrides && others != 0 && self.has_overrides(py)?);
        let is_enough = replaced & (self.parts | passed) & !(steps | serialization | request) == 0;
        Ok((is_enough && (steps != 0 || !has_steps)).then_some(ByName {
            steps: has_steps,
            serialization: replaced & serialization != 0,
            request: replaced & request != 0,
        }))
    }
}
