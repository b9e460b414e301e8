//! The route list of one router as a table: which route answers a scope, and the driver that runs it.
//!
//! Mounts, plain routes and WebSocket routes are found here and answered by Python; hosts, custom convertors and
//! overridden `matches` are asked in their turn.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping, PyString};
use pyo3::{PyTraverseError, PyVisit};
use wire::{Captures, Convertor, Find, Methods, Routes, Template};

use crate::drive::{Channels, Driver};
use crate::plan::Plan;
use crate::scope::{Scope, route_path};
use crate::witness::{self, Parts};
use crate::{ffi, names};

/// Counts every change of any route, so that a table knows in one comparison whether it is still true.
static EPOCH: AtomicU64 = AtomicU64::new(0);

/// Note that some route list or route has changed.
#[pyfunction]
pub(crate) fn routes_changed() {
    EPOCH.fetch_add(1, Ordering::AcqRel);
}

/// Keys and values for a scope, side by side: they are set for each request.
struct ScopeItems(Vec<(Py<PyString>, Py<PyAny>)>);

impl<'py> FromPyObject<'_, 'py> for ScopeItems {
    type Error = PyErr;

    fn extract(items: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let items = items.cast::<PyDict>()?;
        items
            .iter()
            .map(|(key, value)| Ok((key.cast_into()?.unbind(), value.unbind())))
            .collect::<PyResult<_>>()
            .map(Self)
    }
}

#[derive(FromPyObject)]
struct EntryRecipe {
    /// The path template; none if only `route.matches` can tell.
    path: Option<String>,
    /// The methods it answers; none for any.
    methods: Option<Vec<String>>,
    /// The scope types it is for.
    http: bool,
    websocket: bool,
    /// What is asked by `matches(scope)`.
    route: Py<PyAny>,
    /// For an entry that is asked: `might(scope, path)` says, without the application's code, that it could answer.
    might: Option<Py<PyAny>>,
    /// For a path operation: `compile() -> Plan | None`.
    compile: Option<Py<PyAny>>,
    /// For a path operation: what the scope gets.
    scope_items: Option<ScopeItems>,
    /// For a path operation: what `scope["fastapi"]` gets; none if nothing on the way makes that dictionary.
    fastapi_items: Option<Py<PyDict>>,
}

struct Entry {
    recipe: EntryRecipe,
    /// The plan, once the first request has asked for it; `None` inside says that Python answers.
    plan: OnceLock<Option<Py<Plan>>>,
}

/// The routes for one scope type.
#[derive(Default)]
struct Listing {
    /// By template; the value is the entry's index.
    routes: Routes<usize>,
    /// The entries that only Python can match, in order.
    asked: Vec<usize>,
}

/// A router's routes, compiled.
#[pyclass(frozen, module = "ferroapi._core")]
pub(crate) struct RouteTable {
    entries: Vec<Entry>,
    http: Listing,
    websocket: Listing,
    router: Py<PyAny>,
    /// What matching and refusing stand for; what a plan does, it says itself.
    parts: Parts,
    /// What else is passed over where nothing stands between the server and this table.
    entrance: Parts,
    /// Whether a path that no entry answers is refused in Starlette's own way: nothing stands in for missing routes.
    refuses: bool,
    /// Whether a request that no entry answers has been to an included router, which makes `scope["fastapi"]`.
    includes: bool,
    epoch: u64,
}

/// What was found: an entry, and what it answered if it was asked.
struct Selected<'py> {
    entry: usize,
    is_full: bool,
    answer: Option<Bound<'py, PyAny>>,
}

impl Entry {
    /// The plan of a path operation, compiled if it is not yet; none if Python answers.
    fn plan(&self, py: Python<'_>) -> PyResult<Option<&Py<Plan>>> {
        let Some(compile) = &self.recipe.compile else { return Ok(None) };
        if let Some(plan) = self.plan.get() {
            return Ok(plan.as_ref());
        }
        // No lock is held while Python compiles: two threads may both do it, and the first one's plan is kept.
        let compiled = compile.call0(py)?.extract::<Option<Py<Plan>>>(py)?;
        Ok(self.plan.get_or_init(|| compiled).as_ref())
    }
}

impl Listing {
    /// The path parameters of a match by a template, behind those of the mounts around it.
    fn path_params<'py>(
        &self,
        scope: &Bound<'py, PyDict>,
        found: usize,
        captures: &Captures<'_>,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let py = scope.py();
        let params = match scope.get_item(intern!(py, "path_params"))? {
            Some(outer) => outer.cast::<PyDict>()?.copy()?,
            None => PyDict::new(py),
        };
        if let Some(template) = self.routes.template(found) {
            for ((name, convertor), text) in template.names().zip(template.convertors()).zip(captures.iter()) {
                match convert(py, convertor, text)? {
                    Some(value) => params.set_item(name, value)?,
                    None => return Ok(None),
                }
            }
        }
        Ok(Some(params))
    }

    fn add(&mut self, index: usize, recipe: &EntryRecipe) {
        let template = recipe.path.as_deref().map(Template::parse);
        if let Some(Ok(template)) = template {
            let methods = recipe.methods.as_ref().map_or_else(Methods::any, Methods::of);
            self.routes.insert(template, methods, index);
        } else {
            self.asked.push(index);
        }
    }
}

impl RouteTable {
    fn listing(&self, kind: &Bound<'_, PyString>) -> Option<&Listing> {
        if kind == "http" {
            Some(&self.http)
        } else if kind == "websocket" {
            Some(&self.websocket)
        } else {
            None
        }
    }

    /// The entry that answers, full match first; entries that only Python can match are asked in their turn.
    fn find<'py>(
        &self,
        scope: &Bound<'py, PyDict>,
        listing: &Listing,
        path: &str,
        method: &str,
    ) -> PyResult<Option<Selected<'py>>> {
        let mut best = match listing.routes.find(path, method) {
            Find::Full(found) => Some(Selected { entry: *found.value, is_full: true, answer: None }),
            Find::Partial(found) => Some(Selected { entry: *found.value, is_full: false, answer: None }),
            Find::None => None,
        };
        for &entry in &listing.asked {
            let before = best.as_ref().is_none_or(|best| entry < best.entry);
            if !before && best.as_ref().is_some_and(|best| best.is_full) {
                break;
            }
            let (asked, answer) = self.ask(scope, entry)?;
            let answer = Some(answer);
            match asked {
                Asked::Full => return Ok(Some(Selected { entry, is_full: true, answer })),
                Asked::Partial if before => {
                    best = best.filter(|best| best.is_full).or(Some(Selected { entry, is_full: false, answer }));
                }
                _ => {}
            }
        }
        Ok(best)
    }

    /// Ask a route that only Python can match.
    fn ask<'py>(&self, scope: &Bound<'py, PyDict>, index: usize) -> PyResult<(Asked, Bound<'py, PyAny>)> {
        let py = scope.py();
        let Some(entry) = self.entries.get(index) else { return Ok((Asked::No, py.None().into_bound(py))) };
        let answer = entry.recipe.route.bind(py).call_method1(intern!(py, "matches"), (scope,))?;
        let asked = match answer.get_item(0)?.getattr(intern!(py, "value"))?.extract::<u8>()? {
            2 => Asked::Full,
            1 => Asked::Partial,
            _ => Asked::No,
        };
        Ok((asked, answer))
    }

    /// Whether an entry that only Python can match might answer before the entry `limit`.
    ///
    /// The driver leaves such a request to Python, so that the application's code is asked there, and asked once.
    fn might_be_asked(
        &self,
        listing: &Listing,
        scope: &Bound<'_, PyDict>,
        limit: Option<usize>,
        path: &str,
    ) -> PyResult<bool> {
        for index in listing.asked.iter().take_while(|index| limit.is_none_or(|limit| **index < limit)) {
            let might = self.entries.get(*index).and_then(|entry| entry.recipe.might.as_ref());
            let Some(might) = might else { return Ok(true) };
            if might.bind(scope.py()).call1((scope, path))?.is_truthy()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The driver that refuses a path which no route answers, unless a redirect or something of the router's own might.
    fn refuse(
        &self,
        scope: &Bound<'_, PyDict>,
        path: &str,
        method: &str,
        channels: Channels,
    ) -> PyResult<Option<Driver>> {
        let py = scope.py();
        if channels.application.is_none() || !self.refuses {
            return Ok(None);
        }
        if path != "/" && self.router.bind(py).getattr(intern!(py, "redirect_slashes"))?.is_truthy()? {
            let twin = match path.strip_suffix('/') {
                Some(_) => path.trim_end_matches('/').to_owned(),
                None => format!("{path}/"),
            };
            if !self.http.asked.is_empty() || !matches!(self.http.routes.find(&twin, method), Find::None) {
                return Ok(None);
            }
        }
        if let Some(application) = &channels.application {
            scope.set_item(intern!(py, "app"), application)?;
        }
        ffi::set_default(scope, intern!(py, "router"), self.router.bind(py))?;
        if self.includes {
            notes(scope)?;
        }
        let refusal = PyErr::from_value(names::not_found(py)?.call0()?);
        Ok(Some(Driver::refusing(channels, refusal)))
    }

    fn update_scope(
        &self,
        scope: &Bound<'_, PyDict>,
        entry: &Entry,
        path_params: &Bound<'_, PyDict>,
        application: Option<&Py<PyAny>>,
    ) -> PyResult<()> {
        let py = scope.py();
        if let Some(application) = application {
            scope.set_item(intern!(py, "app"), application)?;
        }
        ffi::set_default(scope, intern!(py, "router"), self.router.bind(py))?;
        if let Some(ScopeItems(items)) = &entry.recipe.scope_items {
            for (key, value) in items {
                scope.set_item(key, value)?;
            }
        }
        scope.set_item(intern!(py, "path_params"), path_params)?;
        if let Some(items) = &entry.recipe.fastapi_items {
            let (notes, items) = (notes(scope)?, items.bind(py));
            let form_limits = intern!(py, "form_limits");
            let Some(own) = items.get_item(form_limits)? else { return notes.update(items.as_mapping()) };
            // A request gets limits of its own: those around this router, overridden by the entry's.
            let limits = notes.get_item(form_limits)?.unwrap_or_else(|| own.clone()).cast::<PyDict>()?.copy()?;
            limits.update(own.cast::<PyMapping>()?)?;
            notes.update(items.as_mapping())?;
            notes.set_item(form_limits, limits)?;
        }
        Ok(())
    }
}

/// The `fastapi` dictionary of a scope, made if it is not there yet.
fn notes<'py>(scope: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyDict>> {
    let key = intern!(scope.py(), "fastapi");
    if let Some(known) = scope.get_item(key)? {
        return Ok(known.cast_into()?);
    }
    let notes = PyDict::new(scope.py());
    scope.set_item(key, &notes)?;
    Ok(notes)
}

enum Asked {
    Full,
    Partial,
    No,
}

/// The value of a captured text; none if it is too long to be that number.
fn convert<'py>(py: Python<'py>, convertor: Convertor, text: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    Ok(Some(match convertor {
        Convertor::Str | Convertor::Path => PyString::new(py, text).into_any(),
        Convertor::Int => match text.parse::<i64>() {
            Ok(number) => number.into_pyobject(py)?.into_any(),
            Err(_) => match py.get_type::<pyo3::types::PyInt>().call1((text,)) {
                Ok(number) => number,
                Err(_) => return Ok(None),
            },
        },
        Convertor::Float => py.get_type::<pyo3::types::PyFloat>().call1((text,))?,
        Convertor::Uuid => names::uuid(py)?.call1((text,))?,
    }))
}

#[pymethods]
impl RouteTable {
    /// Compile a router's entries; `parts` is what matching stands for, `entrance` what a server's way to it does.
    #[new]
    fn new(
        entries: Vec<EntryRecipe>,
        router: Py<PyAny>,
        parts: Parts,
        entrance: Parts,
        refuses: bool,
        includes: bool,
        epoch: u64,
    ) -> Self {
        let (mut http, mut websocket) = (Listing::default(), Listing::default());
        for (index, recipe) in entries.iter().enumerate() {
            if recipe.http {
                http.add(index, recipe);
            }
            if recipe.websocket {
                websocket.add(index, recipe);
            }
        }
        Self {
            entries: entries.into_iter().map(|recipe| Entry { recipe, plan: OnceLock::new() }).collect(),
            http,
            websocket,
            router,
            parts,
            entrance,
            refuses,
            includes,
            epoch,
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.router)?;
        for entry in &self.entries {
            let EntryRecipe { route, might, compile, scope_items, fastapi_items, .. } = &entry.recipe;
            visit.call(route)?;
            visit.call(might)?;
            visit.call(compile)?;
            if let Some(ScopeItems(items)) = scope_items {
                items.iter().try_for_each(|(_, value)| visit.call(value))?;
            }
            visit.call(fastapi_items)?;
            if let Some(plan) = entry.plan.get() {
                visit.call(plan)?;
            }
        }
        Ok(())
    }

    /// Whether no route has changed since the table was made.
    #[getter]
    pub(crate) fn is_current(&self) -> bool {
        self.epoch == EPOCH.load(Ordering::Acquire)
    }

    /// The counter that a table made now is true for.
    #[staticmethod]
    fn current_epoch() -> u64 {
        EPOCH.load(Ordering::Acquire)
    }

    /// The driver of the path operation that answers `scope`, or `None` if Python must answer.
    #[pyo3(signature = (scope, receive, send, application=None))]
    pub(crate) fn drive(
        &self,
        py: Python<'_>,
        scope: &Bound<'_, PyAny>,
        receive: Py<PyAny>,
        send: Py<PyAny>,
        application: Option<Py<PyAny>>,
    ) -> PyResult<Option<Driver>> {
        let Ok(scope) = scope.cast_exact::<PyDict>() else { return Ok(None) };
        let replaced = witness::replaced(py)?;
        let entrance = if application.is_some() { self.entrance } else { 0 };
        if replaced & (self.parts | entrance) != 0 {
            return Ok(None);
        }
        let view = Scope(scope);
        let (path, root_path, method) = (view.path()?, view.root_path()?, view.method()?);
        let (Ok(path), Some(method)) = (path.to_str(), method) else { return Ok(None) };
        let path = match &root_path {
            None => path,
            Some(root_path) => route_path(path, root_path.to_str()?),
        };
        let channels = Channels { scope: scope.clone().unbind(), receive, send, application };
        let (found, index) = match self.http.routes.find(path, method.to_str()?) {
            Find::Full(found) => {
                let index = *found.value;
                (found, index)
            }
            Find::None if !self.might_be_asked(&self.http, scope, None, path)? => {
                return self.refuse(scope, path, method.to_str()?, channels);
            }
            Find::None | Find::Partial(_) => return Ok(None),
        };
        if self.might_be_asked(&self.http, scope, Some(index), path)? {
            return Ok(None);
        }
        let Some(entry) = self.entries.get(index) else { return Ok(None) };
        let Some(plan) = entry.plan(py)? else { return Ok(None) };
        if !plan.get().holds(py, replaced)? {
            return Ok(None);
        }
        let Some(path_params) = self.http.path_params(scope, found.index, &found.captures)? else {
            return Ok(None);
        };
        self.update_scope(scope, entry, &path_params, channels.application.as_ref())?;
        Driver::native(py, plan, channels, Some(&path_params)).map(Some)
    }

    /// The plan of the websocket endpoint that answers `scope`, which gets what the endpoint finds there; `None` if
    /// Python must answer.
    #[pyo3(signature = (scope, application=None))]
    fn connect(
        &self,
        py: Python<'_>,
        scope: &Bound<'_, PyAny>,
        application: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<Py<Plan>>> {
        let Ok(scope) = scope.cast_exact::<PyDict>() else { return Ok(None) };
        let replaced = witness::replaced(py)?;
        let entrance = if application.is_some() { self.entrance } else { 0 };
        if replaced & (self.parts | entrance) != 0 {
            return Ok(None);
        }
        let view = Scope(scope);
        let (path, root_path) = (view.path()?, view.root_path()?);
        let Ok(path) = path.to_str() else { return Ok(None) };
        let path = match &root_path {
            None => path,
            Some(root_path) => route_path(path, root_path.to_str()?),
        };
        let Find::Full(found) = self.websocket.routes.find(path, "") else { return Ok(None) };
        if self.might_be_asked(&self.websocket, scope, Some(*found.value), path)? {
            return Ok(None);
        }
        let Some(entry) = self.entries.get(*found.value) else { return Ok(None) };
        let Some(plan) = entry.plan(py)? else { return Ok(None) };
        if !plan.get().holds(py, replaced)? {
            return Ok(None);
        }
        let Some(path_params) = self.websocket.path_params(scope, found.index, &found.captures)? else {
            return Ok(None);
        };
        self.update_scope(scope, entry, &path_params, application.map(Bound::as_unbound))?;
        Ok(Some(plan.clone_ref(py)))
    }

    /// The index of the entry that answers `scope`, full match first, with what it answered if it was asked, or `None`.
    fn select<'py>(&self, scope: &Bound<'py, PyDict>) -> PyResult<Option<(usize, Option<Bound<'py, PyAny>>)>> {
        let view = Scope(scope);
        let Some(listing) = self.listing(&view.kind()?) else { return Ok(None) };
        let (path, root_path, method) = (view.path()?, view.root_path()?, view.method()?);
        let path = match &root_path {
            None => path.to_str()?,
            Some(root_path) => route_path(path.to_str()?, root_path.to_str()?),
        };
        let method = match &method {
            Some(method) => method.to_str()?,
            None => "",
        };
        Ok(self.find(scope, listing, path, method)?.map(|selected| (selected.entry, selected.answer)))
    }
}
