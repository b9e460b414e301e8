//! One route in a table: which paths and methods it answers, what the scope gets, and the plan that runs it.

use std::cell::Cell;
use std::sync::OnceLock;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping, PySet, PyString};
use pyo3::{PyTraverseError, PyVisit};
use wire::Template;

use crate::ffi;
use crate::plan::Plan;

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
struct Recipe {
    /// The path template; none if only `route.matches` can tell.
    path: Option<String>,
    /// The methods it answers, which may be edited in place; none of them means any.
    methods: Py<PyAny>,
    /// What has other methods at another time, as its attribute `methods`, without telling.
    methods_of: Option<Py<PyAny>>,
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
    /// The largest body, in bytes.
    limit: Option<u64>,
    /// The path template that telemetry reports.
    telemetry_path: Option<Py<PyAny>>,
}

/// One route in a table; the tables of a router share those that did not change.
#[pyclass(frozen, module = "ferroapi._core")]
pub(crate) struct Entry {
    recipe: Recipe,
    template: Option<Template>,
    /// The plan, once the first request has asked for it; `None` inside says that Python answers.
    plan: OnceLock<Option<Py<Plan>>>,
}

impl Entry {
    /// The template that says which paths it answers; none if it has to be asked.
    pub(crate) fn template(&self) -> Option<&Template> {
        self.template.as_ref()
    }

    /// Whether it is found in the same places as another one.
    pub(crate) fn is_found_like(&self, other: &Self) -> bool {
        let (own, other) = (&self.recipe, &other.recipe);
        own.path == other.path && own.http == other.http && own.websocket == other.websocket
    }

    pub(crate) fn is_for_http(&self) -> bool {
        self.recipe.http
    }

    pub(crate) fn is_for_websocket(&self) -> bool {
        self.recipe.websocket
    }

    /// What is asked by `matches(scope)`.
    pub(crate) fn route<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.recipe.route.bind(py)
    }

    /// Whether an entry that only Python can match could answer, by what it says without the application's code.
    ///
    /// # Errors
    /// Those of comparing the path.
    pub(crate) fn might_answer(&self, scope: &Bound<'_, PyDict>, path: &str) -> PyResult<bool> {
        let Some(might) = &self.recipe.might else { return Ok(true) };
        might.bind(scope.py()).call1((scope, path))?.is_truthy()
    }

    /// Whether it answers this method, or any.
    ///
    /// # Errors
    /// Those of looking the method up, where the methods are an object of the application's own.
    #[inline]
    pub(crate) fn allows(&self, method: &Bound<'_, PyString>) -> PyResult<bool> {
        let py = method.py();
        if let Some(owner) = &self.recipe.methods_of {
            return match owner.bind(py).getattr_opt(intern!(py, "methods"))? {
                Some(methods) => contains(&methods, method),
                None => Ok(true),
            };
        }
        match self.recipe.methods.bind(py).cast_exact::<PySet>() {
            Ok(methods) => Ok(methods.is_empty() || methods.contains(method)?),
            Err(_) => contains(self.recipe.methods.bind(py), method),
        }
    }

    /// The plan of a path operation, compiled if it is not yet; none if Python answers.
    ///
    /// # Errors
    /// Whatever compiling raises.
    #[inline]
    pub(crate) fn plan(&self, py: Python<'_>) -> PyResult<Option<&Py<Plan>>> {
        let Some(compile) = &self.recipe.compile else { return Ok(None) };
        if let Some(plan) = self.plan.get() {
            return Ok(plan.as_ref());
        }
        // No lock is held while Python compiles: two threads may both do it, and the first one's plan is kept.
        let compiled = compile.call0(py)?.extract::<Option<Py<Plan>>>(py)?;
        Ok(self.plan.get_or_init(|| compiled).as_ref())
    }

    /// What the scope gets.
    fn scope_items(&self) -> &[(Py<PyString>, Py<PyAny>)] {
        self.recipe.scope_items.as_ref().map_or(&[], |ScopeItems(items)| items)
    }

    /// The largest body, in bytes.
    pub(crate) fn limit(&self) -> Option<u64> {
        self.recipe.limit
    }

    /// The path template that telemetry reports.
    pub(crate) fn telemetry_path(&self) -> Option<&Py<PyAny>> {
        self.recipe.telemetry_path.as_ref()
    }
}

/// What was selected for a request: all that its scope gets by that.
pub(crate) struct Selection {
    pub(crate) entry: Py<Entry>,
    pub(crate) router: Py<PyAny>,
    /// The application, when the driver is the outermost code of its request.
    pub(crate) application: Option<Py<PyAny>>,
    /// None stands for an empty dictionary.
    pub(crate) path_params: Option<Py<PyDict>>,
}

impl Selection {
    /// Put it into the scope.
    ///
    /// # Errors
    /// Those of changing the scope.
    pub(crate) fn apply(&self, scope: &Bound<'_, PyDict>) -> PyResult<()> {
        let (py, entry) = (scope.py(), self.entry.get());
        if let Some(application) = &self.application {
            scope.set_item(intern!(py, "app"), application)?;
        }
        ffi::set_default(scope, intern!(py, "router"), self.router.bind(py))?;
        for (key, value) in entry.scope_items() {
            scope.set_item(key, value)?;
        }
        match &self.path_params {
            Some(path_params) => scope.set_item(intern!(py, "path_params"), path_params)?,
            None => scope.set_item(intern!(py, "path_params"), PyDict::new(py))?,
        }
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

    pub(crate) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Self { entry, router, application, path_params } = self;
        visit.call(entry)?;
        visit.call(router)?;
        visit.call(application)?;
        visit.call(path_params)
    }
}

/// The `fastapi` dictionary of a scope, made if it is not there yet.
///
/// # Errors
/// `TypeError`: something else is there.
pub(crate) fn notes<'py>(scope: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyDict>> {
    let key = intern!(scope.py(), "fastapi");
    if let Some(known) = scope.get_item(key)? {
        return Ok(known.cast_into()?);
    }
    let notes = PyDict::new(scope.py());
    scope.set_item(key, &notes)?;
    Ok(notes)
}

/// Whether these methods are any, or this one is among them.
///
/// Source: Starlette behaviour, `routing.Route.matches`.
#[cold]
fn contains(methods: &Bound<'_, PyAny>, method: &Bound<'_, PyString>) -> PyResult<bool> {
    Ok(!methods.is_truthy()? || methods.contains(method)?)
}

#[pymethods]
impl Entry {
    /// Compile a `ferroapi._routing.table.Entry`.
    #[new]
    fn new(recipe: Recipe) -> Self {
        let template = recipe.path.as_deref().map(Template::parse).and_then(Result::ok);
        Self { recipe, template, plan: OnceLock::new() }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Recipe { methods, methods_of, route, might, compile, scope_items, fastapi_items, telemetry_path, .. } =
            &self.recipe;
        visit.call(methods)?;
        visit.call(methods_of)?;
        visit.call(route)?;
        visit.call(might)?;
        visit.call(compile)?;
        if let Some(ScopeItems(items)) = scope_items {
            items.iter().try_for_each(|(_, value)| visit.call(value))?;
        }
        visit.call(fastapi_items)?;
        visit.call(telemetry_path)?;
        match self.plan.get() {
            Some(plan) => visit.call(plan),
            None => Ok(()),
        }
    }
}

/// Which entries answer a method, asked while the paths are compared, and what went wrong with that.
pub(crate) struct Allowed<'a, 'py> {
    method: Option<&'a Bound<'py, PyString>>,
    failed: Cell<Option<PyErr>>,
}

impl<'a, 'py> Allowed<'a, 'py> {
    /// For a request with this method; a WebSocket has none, and any entry answers it.
    pub(crate) fn new(method: Option<&'a Bound<'py, PyString>>) -> Self {
        Self { method, failed: Cell::new(None) }
    }

    /// Whether the entry answers; after a failure none does.
    #[inline]
    pub(crate) fn is_answered_by(&self, entry: &Entry) -> bool {
        match self.method.map(|method| entry.allows(method)) {
            None => true,
            Some(Ok(is_allowed)) => is_allowed,
            Some(Err(error)) => {
                self.failed.set(Some(error));
                false
            }
        }
    }

    /// What was found, unless asking for it failed.
    ///
    /// # Errors
    /// The failure.
    pub(crate) fn checked<T>(&self, found: T) -> PyResult<T> {
        match self.failed.take() {
            None => Ok(found),
            Some(error) => Err(error),
        }
    }
}
