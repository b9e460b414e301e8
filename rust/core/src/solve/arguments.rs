//! The arguments of a call: parameters, the body, results of dependencies, and objects of the request itself.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

use super::Solver;
use super::received::Body;
use crate::extract::Found;
use crate::plan::dependency::{CallKind, Special};
use crate::plan::node::{BodyShape, Node, Parameter};
use crate::plan::{Key, Reading, Render};
use crate::{names, validate};

/// The attribute of a dependant with the fields that a leaf reads from the body.
const BODY_PARAMS: &[&str] = &["body_params"];

#[derive(Clone, Copy)]
pub(super) struct BeforeLeaf {
    pub(super) errors: usize,
    pub(super) is_whole: bool,
}

/// What came of collecting the arguments of a node.
pub(super) enum Collecting {
    /// It can be called.
    Whole,
    /// It cannot.
    Broken,
    /// It need not, since its result is there.
    Cached,
    /// This has to be awaited.
    Reading(Py<PyAny>),
}

impl Solver {
    /// Collect the arguments of `node`; no parameter or dependency of it may prevent its call.
    #[inline]
    pub(super) fn collect(&mut self, py: Python<'_>, index: usize, node: &Node) -> PyResult<Collecting> {
        let BeforeLeaf { errors, mut is_whole } = match self.before_leaf.take() {
            Some(before) => before,
            None => self.collect_parameters(py, node)?,
        };
        if matches!(node.body, BodyShape::Leaf) {
            let Some(outcome) = self.leaf.take() else {
                self.before_leaf = Some(BeforeLeaf { errors, is_whole });
                return self.read_leaf(py, node).map(Collecting::Reading);
            };
            is_whole &= self.take_leaf(py, node, outcome.bind(py), BODY_PARAMS)?;
        } else {
            is_whole &= self.body_arguments(py, node)?;
        }
        let is_told = self.observer.is_some() && index + 1 == self.plan.get().nodes.len();
        let is_broken = !is_whole || self.errors.count(py) != errors;
        if is_broken && !is_told {
            self.arguments.clear();
            return Ok(Collecting::Broken);
        }
        for special in &node.specials {
            if matches!(special.get().0, Special::Request) {
                self.connection.keep_sent(py)?;
                if index + 1 != self.plan.get().nodes.len() {
                    self.connection.note_shared(py)?;
                }
            }
            let value = self.special(py, &special.get().0)?;
            self.arguments.push(value);
        }
        if is_told {
            self.tell_solved(py, node)?;
            if is_broken {
                return Ok(Collecting::Broken);
            }
        }
        if node.reuses && self.take_cached(py, node, index) {
            self.arguments.clear();
            return Ok(Collecting::Cached);
        }
        if node.kind == CallKind::WrappedGenerator && self.stacks.is_none() {
            let generator = self.call(py, node)?.unbind();
            self.arguments.push(generator);
        }
        Ok(Collecting::Whole)
    }

    pub(super) fn collect_parameters(&mut self, py: Python<'_>, node: &Node) -> PyResult<BeforeLeaf> {
        let errors = self.errors.count(py);
        let mut is_whole = true;
        for child in &node.children {
            match self.results.get(child.node) {
                Some(Some(value)) if child.is_argument => self.arguments.push(value.clone_ref(py)),
                Some(Some(_)) => {}
                _ => {
                    is_whole = false;
                    if child.is_argument {
                        self.take(py, None)?;
                    }
                }
            }
        }
        if node.leaf || self.is_unusual {
            is_whole &= self.leaf_parameters(py, node)?;
        } else {
            for parameter in &node.parameters {
                is_whole &= self.parameter(py, parameter)?;
            }
        }
        Ok(BeforeLeaf { errors, is_whole })
    }

    /// Whether the request is of texts and parsed JSON, of which a plan knows what code their validation runs.
    ///
    /// Convertors of paths, and a `Request` of another class, may give other objects.
    pub(super) fn is_plain(&self, py: Python<'_>) -> bool {
        let is_text = |key: &Key<Py<PyString>>| match self.collected.get(key.slot) {
            Some(Some(Found::Received(value))) => value.bind(py).is_exact_instance_of::<PyString>(),
            _ => true,
        };
        !self.is_unusual
            && self.plan.get().keys.path.iter().all(is_text)
            && (self.plan.get().body == Reading::Unread || !self.connection.is_given(py))
    }

    /// Take a value as the next argument; tell whether there is one.
    #[inline]
    pub(super) fn take(&mut self, py: Python<'_>, value: Option<Py<PyAny>>) -> PyResult<bool> {
        let is_there = value.is_some();
        if let Some(value) = value {
            self.arguments.push(value);
        } else if self.observer.is_some() {
            self.arguments.push(names::undefined(py)?.clone().unbind());
        }
        Ok(is_there)
    }

    /// Tell the observer of the endpoint's arguments, as far as there are any.
    #[cold]
    pub(super) fn tell_solved(&mut self, py: Python<'_>, node: &Node) -> PyResult<()> {
        let undefined = names::undefined(py)?;
        let values = PyDict::new(py);
        for (name, value) in node.keywords.bind(py).iter().zip(&self.arguments) {
            if !value.is(undefined) {
                values.set_item(name, value)?;
            }
        }
        let errors = self.errors.list(py);
        self.observer.as_ref().map_or(Ok(()), |observer| observer.solved(py, &values, &errors))
    }

    pub(super) fn parameter(&mut self, py: Python<'_>, parameter: &Parameter) -> PyResult<bool> {
        let mut slots = parameter.slots.iter().enumerate();
        let found = slots.find_map(|(alias, slot)| Some((alias, self.collected.get(*slot)?.as_ref()?)));
        let value = match found {
            Some((_, Found::Read(value))) => Some(value.clone_ref(py)),
            Some((alias, Found::Received(value))) => validated(py, parameter, Some((alias, value)), &mut self.errors)?,
            None => validated(py, parameter, None, &mut self.errors)?,
        };
        self.take(py, value)
    }

    /// Parameters by the Python leaf, laid out in the order of the node's keywords.
    pub(super) fn leaf_parameters(&mut self, py: Python<'_>, node: &Node) -> PyResult<bool> {
        let request = self.connection.request(py)?;
        self.connection.keep_sent(py)?;
        let read = if self.is_unusual { names::unusual_values(py)? } else { names::parameter_values(py)? };
        let outcome = read.call1((&node.dependant, request))?;
        self.take_leaf(py, node, &outcome, &["path_params", "query_params", "header_params", "cookie_params"])
    }

    /// Take what a Python leaf has made of the `fields` of a node.
    pub(super) fn take_leaf(
        &mut self,
        py: Python<'_>,
        node: &Node,
        outcome: &Bound<'_, PyAny>,
        fields: &[&str],
    ) -> PyResult<bool> {
        let (values, errors): (Bound<'_, PyDict>, Bound<'_, PyList>) = outcome.extract()?;
        if !errors.is_empty() {
            self.errors.extend(errors.as_any())?;
            if self.observer.is_some() {
                for group in fields {
                    for field in node.dependant.bind(py).getattr(*group)?.try_iter()? {
                        let value = values.get_item(field?.getattr(intern!(py, "name"))?)?;
                        self.take(py, value.map(Bound::unbind))?;
                    }
                }
            }
            return Ok(false);
        }
        for keyword in node.keywords.bind(py).iter().skip(self.arguments.len()) {
            match values.get_item(keyword)? {
                Some(value) => self.arguments.push(value.unbind()),
                None => break,
            }
        }
        Ok(true)
    }

    pub(super) fn body_arguments(&mut self, py: Python<'_>, node: &Node) -> PyResult<bool> {
        match &node.body {
            BodyShape::None | BodyShape::Leaf => Ok(true),
            BodyShape::Whole(field) => {
                let body = if let Body::Value(value) = &self.body { Some((0, value)) } else { None };
                let value = validated(py, field, body, &mut self.errors)?;
                let is_valid = value.is_some();
                // FastAPI gives the whole body a value even if it is refused.
                let is_told = self.observer.is_some();
                self.take(py, value.or_else(|| is_told.then(|| py.None())))?;
                Ok(is_valid)
            }
            BodyShape::Embedded(fields) => self.embedded(py, node, fields),
            BodyShape::Form(fields) => {
                let mut whole = true;
                for field in fields {
                    whole &= self.parameter(py, field)?;
                }
                Ok(whole)
            }
        }
    }

    pub(super) fn embedded(&mut self, py: Python<'_>, node: &Node, fields: &[Parameter]) -> PyResult<bool> {
        let object = match &self.body {
            Body::Undefined => None,
            Body::Value(value) => match value.bind(py).cast_exact::<PyDict>() {
                Ok(object) => Some(object.clone()),
                Err(_) => return self.leaf_body(py, node),
            },
        };
        let mut whole = true;
        for field in fields {
            let mut found = None;
            if let Some(object) = &object {
                for (index, alias) in field.declared.get().aliases.iter().enumerate() {
                    if let Some(value) = object.get_item(alias.bind(py))? {
                        found = Some((index, value.unbind()));
                        break;
                    }
                }
            }
            let found = found.as_ref().map(|(index, value)| (*index, value));
            let value = validated(py, field, found, &mut self.errors)?;
            whole &= self.take(py, value)?;
        }
        Ok(whole)
    }

    pub(super) fn leaf_body(&mut self, py: Python<'_>, node: &Node) -> PyResult<bool> {
        let body = self.received_body(py)?;
        let outcome = names::body_values(py)?.call1((&node.dependant, body, &self.plan))?;
        self.take_leaf(py, node, &outcome, BODY_PARAMS)
    }

    /// An awaitable of what the Python leaf makes of the body for `node`.
    pub(super) fn read_leaf(&mut self, py: Python<'_>, node: &Node) -> PyResult<Py<PyAny>> {
        let body = self.received_body(py)?;
        Ok(names::read_body_values(py)?.call1((&node.dependant, body, &self.plan))?.unbind())
    }

    /// The body as FastAPI has it: a form, parsed JSON or bytes.
    pub(crate) fn received_body(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self.sent_body(py)? {
            None => Ok(names::undefined(py)?.clone().unbind()),
            Some(body) => Ok(body),
        }
    }

    /// The same; nothing if none was sent.
    pub(crate) fn sent_body(&mut self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        match &self.body {
            Body::Undefined => self.connection.form_data(py),
            Body::Value(value) => Ok(Some(value.clone_ref(py))),
        }
    }

    /// What has come of the request besides the arguments of its endpoint: the shared response, the background tasks, and
    /// the results of the dependencies by what they are cached under, the first of each.
    ///
    /// # Errors
    /// Those of hashing and comparing the keys.
    pub(crate) fn solution(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let (cache, plan) = (PyDict::new(py), self.plan.clone_ref(py));
        if let Render::Solved { keys } = &plan.get().answer.get().render {
            for (key, result) in keys.iter().zip(&self.results) {
                if let Some(result) = result {
                    cache.call_method1(intern!(py, "setdefault"), (key, result))?;
                }
            }
        }
        // FastAPI makes the tasks for each dependency that asks for them, also where errors prevent its call.
        let mut specials = plan.get().nodes.iter().flat_map(|node| &node.specials);
        if specials.any(|special| matches!(special.get().0, Special::BackgroundTasks)) {
            self.special(py, &Special::BackgroundTasks)?;
        }
        let response = self.special(py, &Special::Response)?;
        Ok((response, &self.background, cache).into_pyobject(py)?.into_any().unbind())
    }

    pub(super) fn special(&mut self, py: Python<'_>, special: &Special) -> PyResult<Py<PyAny>> {
        match special {
            Special::Request => self.connection.request(py),
            Special::SecurityScopes(make) => make.call0(py),
            Special::BackgroundTasks => made_once(&mut self.background, names::background_tasks(py)?),
            Special::Response => made_once(&mut self.response, names::sub_response(py)?),
        }
    }
}

/// What a parameter or field makes of the value that was found by one of its aliases, or of there being none.
#[inline]
fn validated(
    py: Python<'_>,
    parameter: &Parameter,
    found: Option<(usize, &Py<PyAny>)>,
    errors: &mut validate::Errors,
) -> validate::Validated {
    let Some(location) = parameter.locations.get(found.map_or(0, |(alias, _)| alias)) else { return Ok(None) };
    match found {
        Some((_, value)) => validate::received(py, parameter.declared.get(), value, location, errors),
        None => validate::absent(py, parameter.declared.get(), location, errors),
    }
}

/// The one object of `class` for a request.
fn made_once(place: &mut Option<Py<PyAny>>, class: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    let made = match place.take() {
        Some(made) => made,
        None => class.call0()?.unbind(),
    };
    Ok(place.insert(made).clone_ref(class.py()))
}
