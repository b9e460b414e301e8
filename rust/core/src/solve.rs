//! Which call comes next: the dependency graph in call order, its values and errors, and the endpoint at its end.
//!
//! Source: FastAPI behaviour, `dependencies.utils.solve_dependencies`.

mod arguments;
mod as_sent;
mod calls;
mod received;

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::{PyTraverseError, PyVisit};
use smallvec::SmallVec;
use wire::form::LimitError;

use crate::extract::Collected;
use crate::observer::Observer;
use crate::plan::dependency::{CallKind, Step};
use crate::plan::node::Node;
use crate::plan::overrides::LookedUp;
use crate::plan::{ByName, Plan, Render};
use crate::scope::{PathParams, Scope};
use crate::teardown::{Entered, EnteredKind, Lifetime, Teardown};
use crate::{extract, names, validate};
use arguments::{BeforeLeaf, Collecting};
pub(crate) use calls::no_yield;
use calls::unless_iterator;
pub(crate) use received::{Body, Connection};

/// Where the solver is being run.
#[derive(Clone, Copy)]
pub(crate) enum Place<'request> {
    /// On the event loop: plain callables are not called here.
    Loop,
    /// In a worker thread: coroutine functions are not called here.
    Thread {
        /// Whether the request has failed meanwhile, so that nothing more is called for it.
        is_abandoned: &'request AtomicBool,
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
    /// Whether Python reads the parameters of every node: the scope is not of the types that servers use, or somebody has
    /// changed what the `Request` says.
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
    pub(crate) by_name: ByName,
    /// The generators that were entered here.
    teardown: Teardown,
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

impl Solver {
    /// A solver for `plan`, or for the one that takes its place under overrides.
    pub(crate) fn new(
        py: Python<'_>,
        plan: &Py<Plan>,
        connection: Connection,
        path_params: &PathParams<'_>,
    ) -> PyResult<Box<Self>> {
        let (plan, base) = match plan.get().latest_variant(py)? {
            None => (plan.clone_ref(py), None),
            Some(latest) => (latest, Some(plan.clone_ref(py))),
        };
        let (nodes, cache) = (plan.get().nodes.len(), plan.get().cache_size);
        let teardown = Teardown::new(plan.get().has_generators);
        let mut solver = Box::new(Self {
            collected: Collected::new(),
            is_unusual: false,
            plan,
            base,
            connection,
            observer: None,
            body: Body::Undefined,
            results: SmallVec::new(),
            cache: SmallVec::new(),
            errors: validate::Errors::default(),
            response: None,
            background: None,
            stacks: None,
            is_outermost: false,
            by_name: ByName::default(),
            teardown,
            entering: None,
            position: 0,
            arguments: Arguments::new(),
            is_ready: false,
            before_leaf: None,
            leaf: None,
        });
        // Filled where they stay: they are large.
        solver.results.resize_with(nodes, || None);
        solver.cache.resize_with(cache, || None);
        solver.collected.resize_with(solver.plan.get().keys.count, || None);
        solver.collect_received(py, path_params)?;
        Ok(solver)
    }

    /// Collect what the plan asks for; nothing of a scope that Python has to read.
    fn collect_received(&mut self, py: Python<'_>, path_params: &PathParams<'_>) -> PyResult<()> {
        let (Ok(path_params), Some(fields)) = (path_params, self.connection.channels.fields(py)?) else {
            // A handler of the application's own is called before anything is read.
            self.is_unusual |= !matches!(self.plan.get().answer.get().render, Render::Response { .. });
            return Ok(());
        };
        self.is_unusual |= !extract::collect(py, self.plan.get(), &fields, path_params.as_ref(), &mut self.collected)?;
        Ok(())
    }

    /// The generators that were entered, which whoever drives the request has to leave.
    pub(crate) fn teardown(&self) -> Teardown {
        self.teardown.clone()
    }

    /// Put the exit stacks of request and function scope where Python finds them, if it needs them; generators are entered
    /// there, too.
    ///
    /// Code that calls the router again with this scope depends on them. Where the driver has gone past the application's
    /// middleware, it opens the stack that this would have opened.
    pub(crate) fn open_stacks(&mut self, py: Python<'_>, is_stepwise: bool) -> PyResult<()> {
        if self.stacks.is_some() || !(is_stepwise || self.plan.get().opens_stacks) {
            return Ok(());
        }
        if self.teardown.is_unneeded() {
            self.teardown = Teardown::new(true);
        }
        let (scope, exit_stack) = (self.connection.channels.scope(py)?, names::exit_stack(py)?);
        let (request, function) = (exit_stack.call0()?, exit_stack.call0()?);
        scope.set_item(intern!(py, "fastapi_inner_astack"), &request)?;
        scope.set_item(intern!(py, "fastapi_function_astack"), &function)?;
        let outermost = self.is_outermost.then(|| names::open_outermost(py)?.call1((&scope,))).transpose()?;
        let stacks = [(&request, Lifetime::Request), (&function, Lifetime::Function)];
        for (stack, lifetime) in outermost.iter().map(|stack| (stack, Lifetime::Connection)).chain(stacks) {
            self.teardown.push(py, Entered { object: stack.clone().unbind(), kind: EnteredKind::Stack, lifetime });
        }
        self.stacks = Some((request.unbind(), function.unbind()));
        Ok(())
    }

    /// Go on with another plan, which is the same up to the step at `position`.
    #[cold]
    #[inline(never)]
    fn go_on_with(&mut self, py: Python<'_>, plan: Py<Plan>) -> PyResult<()> {
        self.plan = plan;
        let plan = self.plan.clone_ref(py);
        self.collected = extract::nothing(plan.get());
        let scope = self.connection.channels.scope(py)?;
        self.collect_received(py, &Scope(&scope).path_params()?)?;
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
        if self.teardown.is_unneeded() {
            self.teardown = Teardown::new(plan.get().has_generators);
        }
        self.open_stacks(py, false)
    }

    /// Look a dependency up among the overrides; tell whether that is done here, and the plan the one for the answer.
    #[cold]
    #[inline(never)]
    fn look_up(&mut self, py: Python<'_>, index: usize, place: Place<'_>) -> PyResult<bool> {
        let on_loop = matches!(place, Place::Loop);
        let base = self.base.as_ref().unwrap_or(&self.plan).clone_ref(py);
        let current = self.plan.clone_ref(py);
        let Some(lookup) = current.get().lookups.get(index) else { return Ok(true) };
        match base.get().look_up(py, lookup.get(), on_loop)? {
            LookedUp::Expected => {}
            LookedUp::OnLoop => return Ok(false),
            LookedUp::Other(call) => {
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
        let mut current = self.plan.bind(py).clone();
        while let Some(step) = current.get().steps.get(self.position) {
            let plan = current.get();
            self.notice_changes(py)?;
            let index = match *step {
                Step::Reuse { node: index, next } => {
                    let Some(node) = plan.nodes.get(index) else { break };
                    let is_taken = self.is_plain(py) && self.may_skip(py)? && self.take_cached(py, node, index);
                    self.position = if is_taken { next } else { self.position + 1 };
                    continue;
                }
                Step::Call(index) => index,
                Step::LookUp(_) if self.base.is_none() && !plan.has_overrides(py)? => {
                    self.pass_lookups(plan);
                    continue;
                }
                Step::LookUp(index) if self.look_up(py, index, place)? => {
                    // It may be another one from here on.
                    current = self.plan.bind(py).clone();
                    continue;
                }
                Step::LookUp(_) => return Ok(Need::Loop),
            };
            let Some(node) = plan.nodes.get(index) else { break };
            let is_endpoint = self.position + 1 == plan.steps.len();
            if let Some(value) = self.value_without_call(py, node, place)? {
                self.keep(py, index, node, value);
                self.position += 1;
                continue;
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
                    // Between two calls the request may be cancelled, as if each were handed to a thread by itself.
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
            if is_endpoint && self.observer.is_some() && !matches!(node.kind, CallKind::Stream | CallKind::ByPython) {
                return self.call_observed(py, node);
            }
            match node.kind {
                CallKind::Stream => return Ok(Need::Result(self.values(py, node)?.into_any().unbind())),
                CallKind::Coroutine => return Ok(Need::Await(self.call(py, node)?.unbind())),
                CallKind::ByPython | CallKind::GeneratorByPython => return self.hand_to_python(py, node, is_endpoint),
                kind if conducted && kind.is_generator() => {
                    return self.call_by_python(py, node).map(Need::Await);
                }
                CallKind::AsyncGenerator | CallKind::Lifespan => {
                    self.enter_scope(py)?;
                    let generator = self.call(py, node)?;
                    let first = generator
                        .call_method0(intern!(py, "__anext__"))
                        .map_err(|error| unless_iterator(&generator, error, "__anext__", "an async iterator"))?;
                    self.entering = Some(generator.unbind());
                    return Ok(Need::Await(first.unbind()));
                }
                CallKind::Generator | CallKind::WrappedGenerator => {
                    let value = self.enter(py, node, plan.shares_thread)?;
                    self.keep(py, index, node, value);
                    self.position += 1;
                }
                CallKind::Plain => {
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

    /// Nothing is called between a lookup and those that follow at once.
    #[inline]
    fn pass_lookups(&mut self, plan: &Plan) {
        while let Some(Step::LookUp(_)) = plan.steps.get(self.position) {
            self.position += 1;
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
        let plan = self.plan.bind(py).clone();
        let plan = plan.get();
        if self.position + 1 == plan.steps.len() {
            return Some(value);
        }
        if let Some(Step::Call(index)) = plan.steps.get(self.position) {
            if let Some(node) = plan.nodes.get(*index) {
                if let Some(generator) = self.entering.take() {
                    self.teardown
                        .push(py, Entered { object: generator, kind: EnteredKind::Async, lifetime: node.lifetime });
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
}
