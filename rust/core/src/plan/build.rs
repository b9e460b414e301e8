//! Python's description of a path operation (`ferroapi._request.plan`) becomes a `Plan`: every check of the build is here.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple};
use pyo3::{PyTraverseError, PyVisit};
use smallvec::SmallVec;

use super::dependency::{BodyField, BodyShape, Child, Credentials, Kind, Node, Positional, Scheme, Special, Step};
use super::overrides::{Lookup, Variants};
use super::param::{Absent, Parameter, Scalar};
use super::{Answer, BodyMode, Kept, Key, Keys, Plan, Render, validates_in_thread};
use crate::attribute::Attribute;
use crate::error::{Error, guarded};
use crate::exits::Lifetime;
use crate::serialize::shape::Shape;
use crate::snapshot::Snapshot;
use crate::witness::{self, Parts};
use crate::worker::Pace;

#[derive(FromPyObject)]
struct ScalarRecipe {
    kind: String,
    least: Py<PyAny>,
    most: Py<PyAny>,
}

#[derive(FromPyObject)]
struct ValueRecipe {
    source: String,
    aliases: Vec<Py<PyString>>,
    many: bool,
    absent: String,
    default: Py<PyAny>,
    validate: Py<PyAny>,
    scalar: Option<ScalarRecipe>,
    field: Py<PyAny>,
}

#[derive(FromPyObject)]
struct NodeRecipe {
    call: Py<PyAny>,
    kind: String,
    is_silent: bool,
    scheme: Option<(String, Py<PyString>, String)>,
    parameters: Vec<ValueRecipe>,
    leaf: bool,
    body: String,
    body_fields: Vec<ValueRecipe>,
    specials: Vec<(String, Py<PyAny>)>,
    children: Vec<(usize, bool)>,
    keywords: Py<PyTuple>,
    positional: Option<(Py<PyAny>, Vec<usize>)>,
    cache: usize,
    use_cache: bool,
    lifetime: String,
    dependant: Py<PyAny>,
}

#[derive(FromPyObject)]
struct AnswerRecipe {
    render: String,
    validate: Option<Py<PyAny>>,
    to_json: Option<Py<PyAny>>,
    options: Py<PyDict>,
    shape: Option<Py<Shape>>,
    status: Option<u16>,
    media_type: Vec<u8>,
}

#[derive(FromPyObject)]
struct PlanRecipe {
    nodes: Vec<NodeRecipe>,
    steps: Vec<(String, usize, usize)>,
    lookups: Vec<(Py<PyAny>, Py<PyAny>)>,
    body: String,
    strict_content_type: bool,
    answer: AnswerRecipe,
    parts: Parts,
    overrides_provider: Py<PyAny>,
    source: Py<Snapshot>,
    operation: Py<PyAny>,
}

fn unknown(what: &'static str, word: &str) -> PyErr {
    Error::Recipe { what, word: word.to_owned() }.into()
}

fn absent(word: &str, default: Py<PyAny>) -> PyResult<Absent> {
    Ok(match word {
        "missing" => Absent::Missing,
        "constant" => Absent::Constant(default),
        "made" => Absent::Made(default),
        "made_then_validated" => Absent::MadeThenValidated(default),
        _ => return Err(unknown("default", word)),
    })
}

fn scalar(py: Python<'_>, recipe: &ScalarRecipe) -> PyResult<Scalar> {
    let (least, most) = (recipe.least.bind(py), recipe.most.bind(py));
    Ok(match recipe.kind.as_str() {
        "str" => Scalar::Text,
        "bool" => Scalar::Truth,
        "int" => Scalar::Integer { least: least.extract()?, most: most.extract()? },
        "float" => Scalar::Number { least: least.extract()?, most: most.extract()? },
        word => return Err(unknown("scalar", word)),
    })
}

fn kept(py: Python<'_>, recipe: &ValueRecipe) -> PyResult<Kept> {
    Ok(match &recipe.scalar {
        _ if recipe.many => Kept::All,
        Some(recipe) => Kept::Scalar(scalar(py, recipe)?),
        None => Kept::One,
    })
}

/// The `loc` of an error: the source, then the alias.
fn location<'py>(py: Python<'py>, source: &str, alias: &Bound<'py, PyString>) -> PyResult<Py<PyTuple>> {
    Ok(PyTuple::new(py, [PyString::new(py, source).as_any(), alias.as_any()])?.unbind())
}

impl Keys {
    /// The slot of `alias` in `source`, made if it is new.
    fn slot(&mut self, source: &str, alias: &Bound<'_, PyString>, kept: Kept) -> PyResult<usize> {
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
            "path" => {
                let slot = *count;
                *count += 1;
                self.path.push(Key { text: alias.clone().unbind(), slot, kept });
                slot
            }
            "query" => place(&mut self.query, count, text.to_owned(), kept),
            "header" => place(&mut self.header, count, latin_1_lower(text), kept),
            "cookie" => place(&mut self.cookie, count, text.to_owned(), kept),
            "body" => place(&mut self.form, count, text.to_owned(), kept),
            _ => return Err(unknown("parameter source", source)),
        })
    }
}

/// A header name as bytes; one that latin-1 cannot write matches no header.
///
/// Source: `starlette.datastructures.Headers.__getitem__`.
fn latin_1_lower(name: &str) -> Vec<u8> {
    name.to_lowercase().chars().map(|character| u8::try_from(u32::from(character)).unwrap_or(b' ')).collect()
}

fn parameter(py: Python<'_>, recipe: ValueRecipe, keys: &mut Keys) -> PyResult<Parameter> {
    let kept = kept(py, &recipe)?;
    let mut slots = SmallVec::new();
    let mut locations = SmallVec::new();
    for alias in &recipe.aliases {
        let alias = alias.bind(py);
        slots.push(keys.slot(&recipe.source, alias, kept)?);
        locations.push(location(py, &recipe.source, alias)?);
    }
    Ok(Parameter {
        slots,
        locations,
        absent: absent(&recipe.absent, recipe.default)?,
        validator: recipe.validate,
        field: recipe.field,
    })
}

fn body_field(py: Python<'_>, recipe: ValueRecipe, whole: bool) -> PyResult<BodyField> {
    let locations = if whole {
        vec![PyTuple::new(py, ["body"])?.unbind()]
    } else {
        recipe.aliases.iter().map(|alias| location(py, "body", alias.bind(py))).collect::<PyResult<_>>()?
    };
    Ok(BodyField {
        aliases: recipe.aliases,
        locations,
        absent: absent(&recipe.absent, recipe.default)?,
        validator: recipe.validate,
        field: recipe.field,
    })
}

/// Where results are kept that more than one node may take.
struct Cache {
    keys: Vec<usize>,
}

impl Cache {
    fn of(nodes: &[NodeRecipe]) -> Self {
        let mut keys: Vec<usize> = nodes.iter().map(|node| node.cache).collect();
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

fn node(py: Python<'_>, recipe: NodeRecipe, keys: &mut Keys, cache: Option<usize>) -> PyResult<Node> {
    let kind = match recipe.kind.as_str() {
        "coroutine" => Kind::Coroutine,
        "plain" => Kind::Plain,
        "generator" => Kind::Generator,
        "wrapped_generator" => Kind::WrappedGenerator,
        "async_generator" => Kind::AsyncGenerator,
        "limited" => Kind::Limited { enters: false },
        "limited_generator" => Kind::Limited { enters: true },
        word => return Err(unknown("kind of callable", word)),
    };
    let scheme = match recipe.scheme {
        None => None,
        Some((source, alias, form)) => Some(Scheme {
            slot: keys.slot(&source, alias.bind(py), Kept::One)?,
            form: match form.as_str() {
                "key" => Credentials::Key,
                "token" => Credentials::Token,
                "any" => Credentials::Any,
                "bearer" => Credentials::Bearer,
                "digest" => Credentials::Digest,
                "basic" => Credentials::Basic,
                _ => return Err(unknown("form of credentials", &form)),
            },
        }),
    };
    let mut fields = recipe.body_fields.into_iter();
    let body = match recipe.body.as_str() {
        "none" => BodyShape::None,
        "leaf" => BodyShape::Leaf,
        "whole" => match fields.next() {
            Some(only) => BodyShape::Whole(Box::new(body_field(py, only, true)?)),
            None => return Err(unknown("body", "whole, without a field")),
        },
        "form" => BodyShape::Form(fields.map(|field| parameter(py, field, keys)).collect::<PyResult<_>>()?),
        "embedded" => BodyShape::Embedded(fields.map(|field| body_field(py, field, false)).collect::<PyResult<_>>()?),
        word => return Err(unknown("body", word)),
    };
    let specials = recipe
        .specials
        .into_iter()
        .map(|(word, object)| {
            Ok(match word.as_str() {
                "request" => Special::Request,
                "background_tasks" => Special::BackgroundTasks,
                "response" => Special::Response,
                "security_scopes" => Special::SecurityScopes(object),
                _ => return Err(unknown("special argument", &word)),
            })
        })
        .collect::<PyResult<_>>()?;
    Ok(Node {
        call: recipe.call,
        kind,
        is_silent: recipe.is_silent && kind != Kind::WrappedGenerator,
        scheme,
        parameters: recipe.parameters.into_iter().map(|recipe| parameter(py, recipe, keys)).collect::<PyResult<_>>()?,
        leaf: recipe.leaf,
        body,
        specials,
        children: recipe.children.into_iter().map(|(node, is_argument)| Child { node, is_argument }).collect(),
        keywords: recipe.keywords,
        positional: recipe.positional.and_then(|(code, places)| Positional::new(code, places)),
        reuses: recipe.use_cache && cache.is_some(),
        cache,
        lifetime: match recipe.lifetime.as_str() {
            "function" => Lifetime::Function,
            "request" => Lifetime::Request,
            word => return Err(unknown("lifetime", word)),
        },
        dependant: recipe.dependant,
    })
}

fn answer(py: Python<'_>, recipe: AnswerRecipe) -> PyResult<Answer> {
    let render = match (recipe.render.as_str(), recipe.validate, recipe.to_json) {
        ("json", _, _) => Render::Json,
        ("text", _, _) => Render::Text,
        ("general", _, _) => Render::General,
        ("response", _, _) => Render::Response { sends_stream: true },
        ("response as it is", _, _) => Render::Response { sends_stream: false },
        ("nothing", _, _) => Render::Nothing,
        ("model", Some(validate), Some(to_json)) => {
            let options = recipe.options.bind(py);
            Render::Model {
                validate,
                to_json,
                options: PyTuple::new(py, options.keys())?.unbind(),
                values: options.values().iter().map(Bound::unbind).collect(),
                shape: recipe.shape,
            }
        }
        (word, _, _) => return Err(unknown("render", word)),
    };
    let content_type = (PyBytes::new(py, b"content-type"), PyBytes::new(py, &recipe.media_type));
    Ok(Answer { render, status: recipe.status, content_type: content_type.into_pyobject(py)?.unbind() })
}

/// The overrides of `provider`, or nothing if there is none to ask.
fn overrides_of(provider: &Bound<'_, PyAny>) -> Option<Attribute> {
    let py = provider.py();
    let name = intern!(py, "dependency_overrides");
    // What cannot be read now is asked for at each request, whose error it is.
    let known = provider.getattr(name).map_or_else(|_| py.None(), Bound::unbind);
    (!provider.is_none()).then(|| Attribute::new(provider, name, known))
}

#[pymethods]
impl Plan {
    /// Compile a recipe.
    #[new]
    fn new(py: Python<'_>, recipe: PlanRecipe) -> PyResult<Self> {
        let mut keys = Keys::default();
        let cache = Cache::of(&recipe.nodes);
        let nodes: Vec<Node> = recipe
            .nodes
            .into_iter()
            .map(|recipe| {
                let place = cache.place(recipe.cache);
                node(py, recipe, &mut keys, place)
            })
            .collect::<PyResult<_>>()?;
        let inside = |index: &usize| *index < nodes.len();
        let whole = nodes.iter().all(|node| node.children.iter().all(|child| inside(&child.node)));
        let steps: Vec<Step> = recipe
            .steps
            .into_iter()
            .map(|(word, index, next)| {
                Ok(match word.as_str() {
                    "call" => Step::Call(index),
                    "reuse" => Step::Reuse { node: index, next },
                    "lookup" => Step::LookUp(index),
                    _ => return Err(unknown("step", &word)),
                })
            })
            .collect::<PyResult<_>>()?;
        let ordered = steps.iter().all(|step| match step {
            Step::Reuse { node, next } => inside(node) && *next <= steps.len(),
            Step::Call(node) => inside(node),
            Step::LookUp(lookup) => *lookup < recipe.lookups.len(),
        });
        if !(whole && ordered) || nodes.is_empty() {
            return Err(unknown("graph", "an index outside the graph"));
        }
        let body = match recipe.body.as_str() {
            "unread" => BodyMode::Unread,
            "json" => BodyMode::Json { strict: recipe.strict_content_type },
            "form" => BodyMode::Form { is_limited: false },
            "limited form" => BodyMode::Form { is_limited: true },
            word => return Err(unknown("body mode", word)),
        };
        let shows_request = |node: &Node| {
            node.scheme.is_none() && node.specials.iter().any(|special| matches!(special, Special::Request))
        };
        let answer = answer(py, recipe.answer)?;
        let in_threads = nodes.iter().filter(|node| node.kind.is_for_thread()).count();
        Ok(Self {
            body,
            opens_stacks: nodes.iter().any(|node| shows_request(node) || node.kind == Kind::Limited { enters: true }),
            has_generators: nodes.iter().any(|node| node.kind.is_generator()),
            shares_thread: in_threads > 1 || validates_in_thread(&nodes, &answer),
            keys,
            steps,
            cache_size: cache.keys.len(),
            answer,
            pace: Pace::default(),
            closing_pace: Pace::default(),
            parts: recipe.parts,
            witness: witness::of_parts(py, if recipe.lookups.is_empty() { recipe.parts } else { Parts::MAX })?,
            // Only dependencies are looked up.
            overrides: if nodes.len() > 1 { overrides_of(recipe.overrides_provider.bind(py)) } else { None },
            lookups: recipe.lookups.into_iter().map(|(declared, expected)| Lookup { declared, expected }).collect(),
            variants: Variants::default(),
            source: recipe.source,
            operation: recipe.operation,
            nodes,
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.visit(&visit)
    }

    /// Whether the plan still says what is to be done: nothing that it stands for was replaced.
    fn is_current(&self, py: Python<'_>) -> PyResult<bool> {
        guarded(|| self.holds(py, 0))
    }
}

impl Plan {
    /// The same, where the request has also been through `passed`.
    #[inline]
    pub(crate) fn holds(&self, py: Python<'_>, passed: Parts) -> PyResult<bool> {
        // What stands in for a dependency may be run by other parts.
        let replaced = self.witness.parts_replaced(py)?;
        Ok(replaced == 0 || !(replaced & (self.parts | passed) != 0 || self.has_overrides(py)?))
    }
}
