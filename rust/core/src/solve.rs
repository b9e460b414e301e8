//! Which call comes next: the dependency graph in call order, its values and errors, and the endpoint at its end.
//!
//! Source: FastAPI behaviour, `dependencies.utils.solve_dependencies`.

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use pyo3::{PyTraverseError, PyVisit};
use smallvec::SmallVec;
use wire::form::LimitError;

use crate::connection::{Channels, path_params};
use crate::error::Error;
use crate::exits::{self, Exit, Exits, Lifetime};
use crate::extract::{Collected, Found};
use crate::observer::Observer;
use crate::plan::dependency::{BodyField, BodyShape, Kind, Node, Special, Step};
use crate::plan::overrides::Answer;
use crate::plan::param::Parameter;
use crate::plan::{BodyMode, Key, Plan};
use crate::{extract, ffi, names, validate};

/// Where the solver is being run.
#[derive(Clone, Copy)]
pub(crate) enum Place<'hop> {
    /// On the event loop: plain callables are not called here.
    Loop,
    /// In a worker thread: coroutine functions are not called here.
    Thread {
        /// Whether the request has failed meanwhile, so that nothing more is called for it.
        is_abandoned: &'hop AtomicBool,
    },
}

/// What the solver needs before it can go on.
pub(crate) enum Need {
    /// The result of this awaitable, given to [`Solver::resume`].
    Await(Py<PyAny>),
    /// To be run in a worker thread.
    Thread,
    /// To be run on the event loop.
    Loop,
    /// Nothing: this is what the endpoint returned.
    Result(Py<PyAny>),
    /// Nothing: the request is invalid; the errors are in [`Solver::errors`].
    Invalid,
}

/// The request's body, once it is read.
pub(crate) enum Body {
    /// None was sent, or none is wanted.
    Undefined,
    /// Parsed JSON, a form, or raw bytes.
    Value(Py<PyAny>),
}

/// The connection, and the objects that are made of it only when somebody asks.
pub(crate) struct Connection {
    pub(crate) channels: Channels,
    request: Option<Py<PyAny>>,
    /// Bytes that were read from `receive`, which a `Request` must not read again.
    pub(crate) body_bytes: Option<Py<PyAny>>,
    /// The same, parsed.
    pub(crate) body_json: Option<Py<PyAny>>,
    /// A url-encoded form that was read instead.
    pub(crate) form: Option<Box<[u8]>>,
    /// The items of a multipart form.
    items: Option<Py<PyAny>>,
    form_data: Option<Py<PyAny>>,
    /// How many bytes of a body were read here.
    pub(crate) body_size: usize,
}

impl Connection {
    pub(crate) fn new(channels: Channels, request: Option<Py<PyAny>>) -> Self {
        Self {
            channels,
            request,
            body_bytes: None,
            body_json: None,
            form: None,
            items: None,
            form_data: None,
            body_size: 0,
        }
    }

    /// Whether somebody else made the `Request`, of a class of their own, whose methods may have read the body.
    fn is_given(&self, py: Python<'_>) -> bool {
        self.request
            .as_ref()
            .is_some_and(|request| names::request(py).map_or(true, |class| !request.bind(py).get_type().is(class)))
    }

    /// The one `Request` of this connection.
    pub(crate) fn request(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if let Some(request) = &self.request {
            return Ok(request.clone_ref(py));
        }
        let Self { channels, .. } = self;
        let request = names::request(py)?.call1((channels.scope(py)?, channels.receive(py)?, channels.send(py)?))?;
        if let Some(body) = &self.body_bytes {
            request.setattr(intern!(py, "_body"), body)?;
            request.setattr(intern!(py, "_stream_consumed"), true)?;
        }
        if let Some(json) = &self.body_json {
            request.setattr(intern!(py, "_json"), json)?;
        }
        if let Some(form) = self.form_data(py)? {
            request.setattr(intern!(py, "_form"), form)?;
            request.setattr(intern!(py, "_stream_consumed"), true)?;
        }
        let request = request.unbind();
        self.request = Some(request.clone_ref(py));
        Ok(request)
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.channels.visit(visit)?;
        let Self { request, body_bytes, body_json, items, form_data, .. } = self;
        [request, body_bytes, body_json, items, form_data].into_iter().try_for_each(|object| visit.call(object))
    }

    /// The form as Starlette's `FormData`, for whoever asks for it.
    pub(crate) fn form_data(&mut self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        if let (None, Some(form)) = (&self.form_data, self.form.take()) {
            let pairs: Vec<_> = wire::query::pairs(&form).collect();
            self.form_data = Some(names::form_data(py)?.call1((pairs,))?.unbind());
        }
        if let (None, Some(items)) = (&self.form_data, self.items.take()) {
            self.form_data = Some(names::form_data(py)?.call1((items,))?.unbind());
        }
        Ok(self.form_data.as_ref().map(|form| form.clone_ref(py)))
    }

    /// Collect the fields of a form that has been read.
    fn collect_form(&self, py: Python<'_>, plan: &Plan, collected: &mut Collected) -> PyResult<()> {
        if let Some(form) = &self.form {
            // It is within the limits.
            extract::form(py, plan, form, collected)?.map_err(|_| Error::Resumed.into())
        } else if let Some(form) = &self.form_data {
            extract::form_items(plan, &form.bind(py).call_method0(intern!(py, "multi_items"))?, collected)
        } else if let Some(items) = &self.items {
            extract::form_items(plan, items.bind(py), collected)
        } else {
            Ok(())
        }
    }
}

type Arguments = SmallVec<[Py<PyAny>; 8]>;

/// One request's way through the graph.
pub(crate) struct Solver {
    plan: Py<Plan>,
    /// The plan without overrides, if `plan` is another one.
    base: Option<Py<Plan>>,
    pub(crate) connection: Connection,
    /// Who records the request.
    pub(crate) observer: Option<Observer>,
    collected: Collected,
    /// Whether the scope is not of the types that servers use: Python reads the parameters of every node.
    is_unusual: bool,
    pub(crate) body: Body,
    results: SmallVec<[Option<Py<PyAny>>; 8]>,
    cache: SmallVec<[Option<Py<PyAny>>; 8]>,
    pub(crate) errors: validate::Errors,
    pub(crate) response: Option<Py<PyAny>>,
    pub(crate) background: Option<Py<PyAny>>,
    /// The exit stacks (request, function) that generators are entered in when Python conducts.
    pub(crate) stacks: Option<(Py<PyAny>, Py<PyAny>)>,
    /// Whether nothing of the application stands between the server and the driver, which opens what that would have.
    pub(crate) is_outermost: bool,
    /// The generators that were entered here.
    exits: Exits,
    /// The async generator that is on its way to its `yield`.
    entering: Option<Py<PyAny>>,
    position: usize,
    /// The arguments of the step at `position`, as far as they are collected.
    arguments: Arguments,
    /// Whether they are whole, so that it can be called where its place is.
    is_ready: bool,
    /// What came of the arguments before those of the body, while the Python leaf reads that.
    before_leaf: Option<BeforeLeaf>,
    /// What the leaf has read.
    leaf: Option<Py<PyAny>>,
}

/// The attribute of a dependant with the fields that a leaf reads from the body.
const BODY_PARAMS: &[&str] = &["body_params"];

#[derive(Clone, Copy)]
struct BeforeLeaf {
    errors: usize,
    is_whole: bool,
}

/// What came of collecting the arguments of a node.
enum Collecting {
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
    /// A solver for `plan`, or for the one that takes its place under overrides.
    pub(crate) fn new(
        py: Python<'_>,
        plan: &Py<Plan>,
        connection: Connection,
        path_params: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Box<Self>> {
        let latest = if plan.get().has_overrides(py)? { plan.get().latest_variant(py) } else { None };
        let (plan, base) = match latest {
            None => (plan.clone_ref(py), None),
            Some(latest) => (latest, Some(plan.clone_ref(py))),
        };
        let (nodes, cache) = (plan.get().nodes.len(), plan.get().cache_size);
        let exits = Exits::new(plan.get().has_generators || plan.get().opens_stacks);
        let mut solver = Box::new(Self {
            collected: extract::nothing(plan.get()),
            is_unusual: false,
            plan,
            base,
            connection,
            observer: None,
            body: Body::Undefined,
            results: std::iter::repeat_with(|| None).take(nodes).collect(),
            cache: std::iter::repeat_with(|| None).take(cache).collect(),
            errors: validate::Errors::default(),
            response: None,
            background: None,
            stacks: None,
            is_outermost: false,
            exits,
            entering: None,
            position: 0,
            arguments: Arguments::new(),
            is_ready: false,
            before_leaf: None,
            leaf: None,
        });
        solver.collect_received(py, path_params)?;
        Ok(solver)
    }

    /// Collect what the plan asks for; nothing of a scope that Python has to read.
    fn collect_received(&mut self, py: Python<'_>, path_params: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
        let fields = self.connection.channels.fields(py)?;
        self.is_unusual = !extract::collect(py, self.plan.get(), fields.as_ref(), path_params, &mut self.collected)?;
        Ok(())
    }

    /// The generators that were entered, which whoever drives the request has to leave.
    pub(crate) fn exits(&self) -> Exits {
        self.exits.clone()
    }

    /// Put the exit stacks where Python finds them, if it needs them; generators are entered there, too.
    pub(crate) fn open_stacks(&mut self, py: Python<'_>) -> PyResult<()> {
        if self.stacks.is_some() || !self.plan.get().opens_stacks {
            return Ok(());
        }
        let (request, function, outermost): (Py<PyAny>, Py<PyAny>, Option<Py<PyAny>>) =
            names::open_stacks(py)?.call1((self.connection.channels.scope(py)?, self.is_outermost))?.extract()?;
        if let Some(object) = outermost {
            self.exits.push(Exit { object, kind: exits::Kind::Stack, lifetime: Lifetime::Connection });
        }
        for (stack, lifetime) in [(&request, Lifetime::Request), (&function, Lifetime::Function)] {
            self.exits.push(Exit { object: stack.clone_ref(py), kind: exits::Kind::Stack, lifetime });
        }
        self.stacks = Some((request, function));
        Ok(())
    }

    /// Go on with another plan, which is the same up to the step at `position`.
    #[cold]
    #[inline(never)]
    fn go_on_with(&mut self, py: Python<'_>, plan: Py<Plan>) -> PyResult<()> {
        self.plan = plan;
        let plan = self.plan.clone_ref(py);
        self.collected = extract::nothing(plan.get());
        self.collect_received(py, path_params(&self.connection.channels.scope(py)?)?.as_ref())?;
        self.connection.collect_form(py, plan.get(), &mut self.collected)?;
        let (nodes, cache) = (plan.get().nodes.len(), plan.get().cache_size);
        self.results.resize_with(nodes, || None);
        self.cache.clear();
        self.cache.resize_with(cache, || None);
        for (node, result) in plan.get().nodes.iter().zip(&self.results) {
            if let (Some(place), Some(result)) = (node.cache.and_then(|place| self.cache.get_mut(place)), result) {
                place.get_or_insert_with(|| result.clone_ref(py));
            }
        }
        if self.exits.are_unneeded() {
            self.exits = Exits::new(plan.get().has_generators || plan.get().opens_stacks);
        }
        self.open_stacks(py)
    }

    /// Look a dependency up among the overrides; tell whether that is done here, and the plan the one for the answer.
    #[cold]
    #[inline(never)]
    fn look_up(&mut self, py: Python<'_>, index: usize, place: Place<'_>) -> PyResult<bool> {
        let on_loop = matches!(place, Place::Loop);
        let base = self.base.as_ref().unwrap_or(&self.plan).clone_ref(py);
        let current = self.plan.clone_ref(py);
        let Some(lookup) = current.get().lookups.get(index) else { return Ok(true) };
        match base.get().look_up(py, lookup, on_loop)? {
            Answer::Expected => {}
            Answer::OnLoop => return Ok(false),
            Answer::Other(call) => {
                let plan = Plan::variant(&base, py, current.get(), (index, call))?;
                self.base = Some(base);
                self.go_on_with(py, plan)?;
            }
        }
        self.position += 1;
        Ok(true)
    }

    /// Show what a request under way holds to Python's garbage collector.
    pub(crate) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.plan)?;
        visit.call(&self.base)?;
        self.connection.visit(visit)?;
        visit.call(self.observer.as_ref().map(|observer| &observer.0))?;
        self.collected.iter().flatten().try_for_each(|found| found.visit(visit))?;
        if let Body::Value(body) = &self.body {
            visit.call(body)?;
        }
        self.results.iter().chain(&self.cache).try_for_each(|result| visit.call(result))?;
        self.errors.visit(visit)?;
        if let Some((request, function)) = &self.stacks {
            visit.call(request)?;
            visit.call(function)?;
        }
        let Self { response, background, entering, leaf, .. } = self;
        [response, background, entering, leaf].into_iter().try_for_each(|object| visit.call(object))?;
        self.arguments.iter().try_for_each(|argument| visit.call(argument))
    }

    /// Take a multipart form, as its items, or as the `FormData` that Starlette's parser has made; its files are returned.
    pub(crate) fn take_multipart(&mut self, form: &Bound<'_, PyAny>, is_parsed: bool) -> PyResult<Option<Py<PyAny>>> {
        let py = form.py();
        let items = if is_parsed { form.call_method0(intern!(py, "multi_items"))? } else { form.clone() };
        extract::form_items(self.plan.get(), &items, &mut self.collected)?;
        let files = names::uploads(py)?.call1((&items,))?;
        let place = if is_parsed { &mut self.connection.form_data } else { &mut self.connection.items };
        *place = Some(form.clone().unbind());
        Ok(files.is_truthy()?.then(|| files.unbind()))
    }

    /// Take a url-encoded form.
    ///
    /// # Errors
    /// `HTTPException` with status 400: the form exceeds a limit.
    pub(crate) fn take_form(&mut self, py: Python<'_>, body: &[u8]) -> PyResult<()> {
        match extract::form(py, self.plan.get(), body, &mut self.collected)? {
            Ok(()) => {
                self.connection.form = Some(body.into());
                Ok(())
            }
            Err(limit) => {
                let word = match limit {
                    LimitError::TooManyFields => "fields",
                    LimitError::FieldTooLarge => "size",
                };
                Err(PyErr::from_value(names::form_limit_error(py)?.call1((word,))?))
            }
        }
    }

    /// Go on until something is needed.
    ///
    /// # Errors
    /// Whatever the called code raises.
    pub(crate) fn run(&mut self, py: Python<'_>, place: Place<'_>) -> PyResult<Need> {
        let mut has_called = false;
        let plan = self.plan.clone_ref(py);
        let plan = plan.get();
        while let Some(step) = plan.steps.get(self.position) {
            let index = match *step {
                Step::Reuse { node: index, next } => {
                    let Some(node) = plan.nodes.get(index) else { break };
                    let is_taken = self.is_plain(py) && self.may_skip(py)? && self.take_cached(py, node, index);
                    self.position = if is_taken { next } else { self.position + 1 };
                    continue;
                }
                Step::Call(index) => index,
                Step::LookUp(_) if self.base.is_none() && !plan.has_overrides(py)? => {
                    self.position += 1;
                    continue;
                }
                Step::LookUp(index) => {
                    return if self.look_up(py, index, place)? { self.run(py, place) } else { Ok(Need::Loop) };
                }
            };
            let Some(node) = plan.nodes.get(index) else { break };
            let is_endpoint = self.position + 1 == plan.steps.len();
            if let Some(scheme) = node.scheme.as_ref().filter(|_| !self.is_unusual) {
                if let Some(credentials) = scheme.credentials(node.call.bind(py), &self.collected)? {
                    self.keep(py, index, node, credentials);
                    self.position += 1;
                    continue;
                }
            }
            let conducted = self.stacks.is_some();
            if !self.is_ready {
                let is_told = is_endpoint && self.observer.is_some();
                if matches!(place, Place::Thread { .. }) && (is_told || !(node.is_silent && self.is_plain(py))) {
                    return Ok(Need::Loop);
                }
                match self.collect(py, index, node)? {
                    Collecting::Whole => {}
                    Collecting::Reading(leaf) => return Ok(Need::Await(leaf)),
                    Collecting::Broken if is_endpoint => return Ok(Need::Invalid),
                    Collecting::Broken | Collecting::Cached => {
                        self.position += 1;
                        continue;
                    }
                }
            }
            self.is_ready = false;
            let is_for_thread = node.kind.is_for_thread() && !(conducted && node.kind.is_generator());
            match place {
                Place::Thread { is_abandoned } if is_for_thread => {
                    // Between two calls the request may be cancelled, as if each were a hop of its own.
                    if has_called {
                        if is_abandoned.load(Ordering::Acquire) {
                            return Ok(Need::Thread);
                        }
                        names::check_cancelled(py)?.call0()?;
                    }
                    has_called = true;
                }
                Place::Loop if !is_for_thread => {}
                _ => {
                    self.is_ready = true;
                    return Ok(if is_for_thread { Need::Thread } else { Need::Loop });
                }
            }
            if is_endpoint && self.observer.is_some() && node.kind != Kind::Stream {
                return self.call_observed(py, node);
            }
            match node.kind {
                Kind::Stream => return self.values(py, node).map(|values| Need::Result(values.into_any().unbind())),
                Kind::Coroutine => return Ok(Need::Await(self.call(py, node)?.unbind())),
                Kind::Limited | Kind::LimitedGenerator => return self.call_by_python(py, node).map(Need::Await),
                Kind::Generator | Kind::WrappedGenerator | Kind::AsyncGenerator if conducted => {
                    return self.call_by_python(py, node).map(Need::Await);
                }
                Kind::AsyncGenerator => {
                    self.enter_scope(py)?;
                    let generator = self.call(py, node)?;
                    let first = generator
                        .call_method0(intern!(py, "__anext__"))
                        .map_err(|error| unless_iterator(&generator, error, "__anext__", "an async iterator"))?;
                    self.entering = Some(generator.unbind());
                    return Ok(Need::Await(first.unbind()));
                }
                Kind::Generator | Kind::WrappedGenerator => {
                    let value = self.enter(py, node, plan.shares_thread)?;
                    self.keep(py, index, node, value);
                    self.position += 1;
                }
                Kind::Plain => {
                    let result =
                        if plan.shares_thread { self.call_in_own_context(py, node)? } else { self.call(py, node)? };
                    if is_endpoint {
                        return Ok(Need::Result(result.unbind()));
                    }
                    self.keep(py, index, node, result.unbind());
                    self.position += 1;
                }
            }
        }
        Ok(Need::Invalid)
    }

    /// Call the endpoint, observed.
    #[cold]
    #[inline(never)]
    fn call_observed(&mut self, py: Python<'_>, node: &Node) -> PyResult<Need> {
        let values = self.values(py, node)?;
        let Some(observer) = &self.observer else { return Err(Error::Resumed.into()) };
        if node.kind == Kind::Plain {
            observer.call_plain(py, &values).map(Need::Result)
        } else {
            observer.call(py, &values).map(Need::Await)
        }
    }

    /// Whether what a cached result makes needless can go unseen: not the lookups in a mapping of the application's own.
    fn may_skip(&self, py: Python<'_>) -> PyResult<bool> {
        let base = self.base.as_ref().unwrap_or(&self.plan).get();
        Ok(!base.has_overrides(py)?
            || base.given_overrides(py)?.is_none_or(|overrides| overrides.is_exact_instance_of::<PyDict>()))
    }

    /// Take the result of what [`Need::Await`] asked for: the endpoint's result comes back as it is.
    pub(crate) fn resume(&mut self, py: Python<'_>, value: Py<PyAny>) -> Option<Py<PyAny>> {
        if self.before_leaf.is_some() {
            self.leaf = Some(value);
            return None;
        }
        let plan = self.plan.clone_ref(py);
        let plan = plan.get();
        if self.position + 1 == plan.steps.len() {
            return Some(value);
        }
        if let Some(Step::Call(index)) = plan.steps.get(self.position) {
            if let Some(node) = plan.nodes.get(*index) {
                if let Some(generator) = self.entering.take() {
                    self.exits.push(Exit { object: generator, kind: exits::Kind::Async, lifetime: node.lifetime });
                }
                self.keep(py, *index, node, value);
            }
        }
        self.position += 1;
        None
    }

    fn keep(&mut self, py: Python<'_>, index: usize, node: &Node, value: Py<PyAny>) {
        if let Some(cached @ None) = node.cache.and_then(|cache| self.cache.get_mut(cache)) {
            *cached = Some(value.clone_ref(py));
        }
        if let Some(result) = self.results.get_mut(index) {
            *result = Some(value);
        }
    }

    /// Make the cached result of `node`, if there is one, that of its occurrence at `index`.
    fn take_cached(&mut self, py: Python<'_>, node: &Node, index: usize) -> bool {
        let Some(Some(cached)) = node.cache.and_then(|cache| self.cache.get(cache)) else { return false };
        let cached = cached.clone_ref(py);
        if let Some(result) = self.results.get_mut(index) {
            *result = Some(cached);
        }
        true
    }

    /// Collect the arguments of `node`; no parameter or dependency of it may prevent its call.
    #[inline]
    fn collect(&mut self, py: Python<'_>, index: usize, node: &Node) -> PyResult<Collecting> {
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
            let value = self.special(py, special)?;
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
        if node.kind == Kind::WrappedGenerator && self.stacks.is_none() {
            let generator = self.call(py, node)?.unbind();
            self.arguments.push(generator);
        }
        Ok(Collecting::Whole)
    }

    fn collect_parameters(&mut self, py: Python<'_>, node: &Node) -> PyResult<BeforeLeaf> {
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
    fn is_plain(&self, py: Python<'_>) -> bool {
        let is_text = |key: &Key<Py<PyString>>| match self.collected.get(key.slot) {
            Some(Some(Found::Received(value))) => value.bind(py).is_exact_instance_of::<PyString>(),
            _ => true,
        };
        self.plan.get().keys.path.iter().all(is_text)
            && (self.plan.get().body == BodyMode::Unread || !self.connection.is_given(py))
    }

    /// Take a value as the next argument; tell whether there is one.
    #[inline]
    fn take(&mut self, py: Python<'_>, value: Option<Py<PyAny>>) -> PyResult<bool> {
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
    fn tell_solved(&mut self, py: Python<'_>, node: &Node) -> PyResult<()> {
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

    /// Call `node` with the collected arguments.
    fn call<'py>(&mut self, py: Python<'py>, node: &Node) -> PyResult<Bound<'py, PyAny>> {
        let result = node.call(py, &mut self.arguments);
        self.arguments.drain(..).for_each(|argument| argument.drop_ref(py));
        result
    }

    /// Call a plain callable that shares its thread with others, so that a context variable it sets stays its own.
    fn call_in_own_context<'py>(&mut self, py: Python<'py>, node: &Node) -> PyResult<Bound<'py, PyAny>> {
        let context = names::copy_context(py)?.call0()?;
        let run = context.getattr(intern!(py, "run"))?;
        self.arguments.insert(0, node.call.clone_ref(py));
        let arguments = std::mem::take(&mut self.arguments);
        ffi::vectorcall(&run, &arguments, Some(node.keywords.bind(py)))
    }

    fn parameter(&mut self, py: Python<'_>, parameter: &Parameter) -> PyResult<bool> {
        let found = parameter
            .slots
            .iter()
            .enumerate()
            .find_map(|(alias, slot)| Some((alias, self.collected.get(*slot)?.as_ref()?)));
        let alias = found.map_or(0, |(alias, _)| alias);
        let Some(location) = parameter.locations.get(alias) else { return Ok(false) };
        let Parameter { validator, field, .. } = parameter;
        let value = match found {
            Some((_, Found::Read(value))) => Some(value.clone_ref(py)),
            Some((_, Found::Received(value))) => {
                validate::received(py, validator, value, field, location, &mut self.errors)?
            }
            None => validate::absent(py, &parameter.absent, validator, field, location, &mut self.errors)?,
        };
        self.take(py, value)
    }

    /// Parameters by the Python leaf, laid out in the order of the node's keywords.
    fn leaf_parameters(&mut self, py: Python<'_>, node: &Node) -> PyResult<bool> {
        let request = self.connection.request(py)?;
        let read = if self.is_unusual { names::unusual_values(py)? } else { names::parameter_values(py)? };
        let outcome = read.call1((&node.dependant, request))?;
        self.take_leaf(py, node, &outcome, &["path_params", "query_params", "header_params", "cookie_params"])
    }

    /// Take what a Python leaf has made of the `fields` of a node.
    fn take_leaf(
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

    fn body_arguments(&mut self, py: Python<'_>, node: &Node) -> PyResult<bool> {
        match &node.body {
            BodyShape::None | BodyShape::Leaf => Ok(true),
            BodyShape::Whole(field) => {
                let value = match &self.body {
                    Body::Undefined => None,
                    Body::Value(value) => Some((0, value.clone_ref(py))),
                };
                let value = self.body_value(py, field, value.as_ref())?;
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

    fn embedded(&mut self, py: Python<'_>, node: &Node, fields: &[BodyField]) -> PyResult<bool> {
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
                for (index, alias) in field.aliases.iter().enumerate() {
                    if let Some(value) = object.get_item(alias.bind(py))? {
                        found = Some((index, value.unbind()));
                        break;
                    }
                }
            }
            let value = self.body_value(py, field, found.as_ref())?;
            whole &= self.take(py, value)?;
        }
        Ok(whole)
    }

    fn body_value(
        &mut self,
        py: Python<'_>,
        field: &BodyField,
        found: Option<&(usize, Py<PyAny>)>,
    ) -> validate::Validated {
        let errors = &mut self.errors;
        let alias = found.map_or(0, |(alias, _)| *alias);
        let Some(location) = field.locations.get(alias) else { return Ok(None) };
        match found {
            Some((_, value)) => validate::received(py, &field.validator, value, &field.field, location, errors),
            None => validate::absent(py, &field.absent, &field.validator, &field.field, location, errors),
        }
    }

    fn leaf_body(&mut self, py: Python<'_>, node: &Node) -> PyResult<bool> {
        let body = self.received_body(py)?;
        let outcome = names::body_values(py)?.call1((&node.dependant, body, &self.plan))?;
        self.take_leaf(py, node, &outcome, BODY_PARAMS)
    }

    /// An awaitable of what the Python leaf makes of the body for `node`.
    fn read_leaf(&mut self, py: Python<'_>, node: &Node) -> PyResult<Py<PyAny>> {
        let body = self.received_body(py)?;
        Ok(names::read_body_values(py)?.call1((&node.dependant, body, &self.plan))?.unbind())
    }

    /// The body as FastAPI has it: a form, parsed JSON or bytes.
    fn received_body(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
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

    fn special(&mut self, py: Python<'_>, special: &Special) -> PyResult<Py<PyAny>> {
        match special {
            Special::Request => self.connection.request(py),
            Special::SecurityScopes(make) => make.call0(py),
            Special::BackgroundTasks => {
                if self.background.is_none() {
                    self.background = Some(names::background_tasks(py)?.call0()?.unbind());
                }
                Ok(self.background.as_ref().map_or_else(|| py.None(), |tasks| tasks.clone_ref(py)))
            }
            Special::Response => {
                if self.response.is_none() {
                    self.response = Some(names::sub_response(py)?.call0()?.unbind());
                }
                Ok(self.response.as_ref().map_or_else(|| py.None(), |response| response.clone_ref(py)))
            }
        }
    }

    /// Whether an async generator was on its way to its `yield`; it is not any more.
    pub(crate) fn take_entering(&mut self) -> bool {
        self.entering.take().is_some()
    }

    /// Enter the cancel scope that protects the ends of async generators, before the first of them.
    fn enter_scope(&self, py: Python<'_>) -> PyResult<()> {
        if self.exits.scope(py).is_none() {
            let object = names::enter_scope(py)?.call0()?.unbind();
            self.exits.push(Exit { object, kind: exits::Kind::Scope, lifetime: Lifetime::Request });
        }
        Ok(())
    }

    /// Run a synchronous generator to its `yield`.
    fn enter(&mut self, py: Python<'_>, node: &Node, own_context: bool) -> PyResult<Py<PyAny>> {
        let made = if node.kind == Kind::WrappedGenerator { self.arguments.pop() } else { None };
        let generator = match made {
            Some(generator) => generator.into_bound(py),
            None => self.call(py, node)?,
        };
        let mut next = generator
            .getattr(intern!(py, "__next__"))
            .map_err(|error| unless_iterator(&generator, error, "__next__", "an iterator"))?;
        let mut arguments = Arguments::new();
        if own_context {
            arguments.push(next.unbind());
            next = names::copy_context(py)?.call0()?.getattr(intern!(py, "run"))?;
        }
        match ffi::vectorcall(&next, &arguments, None) {
            Ok(value) => {
                self.exits.push(Exit { object: generator.unbind(), kind: exits::Kind::Plain, lifetime: node.lifetime });
                Ok(value.unbind())
            }
            Err(stop) if stop.is_instance_of::<PyStopIteration>(py) => Err(no_yield()),
            Err(error) => Err(error),
        }
    }

    /// The arguments of a node, by name.
    fn values<'py>(&mut self, py: Python<'py>, node: &Node) -> PyResult<Bound<'py, PyDict>> {
        let arguments = std::mem::take(&mut self.arguments);
        let values = PyDict::new(py);
        for (name, value) in node.keywords.bind(py).iter().zip(&arguments) {
            values.set_item(name, value)?;
        }
        Ok(values)
    }

    /// Let Python call a dependency, and enter it in an exit stack if it is a generator.
    fn call_by_python(&mut self, py: Python<'_>, node: &Node) -> PyResult<Py<PyAny>> {
        let values = self.values(py, node)?;
        let stack = self.stacks.as_ref().map(|(request, function)| {
            if node.lifetime == Lifetime::Function { function.clone_ref(py) } else { request.clone_ref(py) }
        });
        let request = self.connection.request(py)?;
        Ok(names::call_dependency(py)?.call1((&node.dependant, values, request, stack))?.unbind())
    }
}

/// The error of a generator that ended before its `yield`, in `contextlib`'s words.
pub(crate) fn no_yield() -> PyErr {
    PyRuntimeError::new_err("generator didn't yield")
}

/// The error of a dependency with `yield` that gave no generator, as one wrapped by `contextmanager` does.
#[cold]
fn unless_iterator(generator: &Bound<'_, PyAny>, error: PyErr, method: &str, kind: &'static str) -> PyErr {
    match (generator.hasattr(method), generator.get_type().name()) {
        (Ok(false), Ok(class)) => Error::Iterator { class: class.to_string(), kind }.into(),
        _ => error,
    }
}
