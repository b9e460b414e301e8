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
use crate::scope::{PathParams, Scope, Unusual};

/// One route in a table; the tables of a router share those that did not change.
#[pyclass(frozen, module = "ferroapi._core")]
pub(crate) struct Entry {
    /// The path template; none if only `route.matches` can tell.
    #[pyo3(get)]
    path: Option<String>,
    pub(crate) template: Option<Template>,
    /// The methods it answers, which may be edited in place; none of them means any.
    #[pyo3(get)]
    methods: Py<PyAny>,
    /// What has other methods at another time, as its attribute `methods`, without telling.
    #[pyo3(get)]
    methods_of: Option<Py<PyAny>>,
    /// The scope types it is for.
    pub(crate) http: bool,
    #[pyo3(get)]
    pub(crate) websocket: bool,
    /// What matches a scope where only Python can: its `matches(scope)` is called.
    #[pyo3(get)]
    pub(crate) route: Py<PyAny>,
    /// For an entry that only Python can match: `may_match(scope, path)` tells it apart without the application's code.
    may_match: Option<Py<PyAny>>,
    /// For a path operation: `compile() -> Plan | None`.
    #[pyo3(get)]
    compile: Option<Py<PyAny>>,
    /// For a path operation: what the scope gets, keys and values side by side.
    scope_items: Vec<(Py<PyString>, Py<PyAny>)>,
    /// For a path operation: what `scope["fastapi"]` gets; none if no router before it makes that dictionary.
    #[pyo3(get)]
    fastapi_items: Option<Py<PyDict>>,
    /// The largest body, in bytes.
    pub(crate) limit: Option<u64>,
    /// Whether the request is cancelled when its client leaves.
    pub(crate) cancels: bool,
    /// The path template that telemetry reports.
    #[pyo3(get)]
    pub(crate) telemetry_path: Option<Py<PyAny>>,
    /// What answers, and the included routers that a request passes before it, for Python.
    #[pyo3(get)]
    candidate: Py<PyAny>,
    #[pyo3(get)]
    include_path: Py<PyAny>,
    /// The plan, once the first request has asked for it; `None` inside says that Python answers.
    plan: OnceLock<Option<Py<Plan>>>,
}

impl Entry {
    /// Whether it is found in the same places as another one.
    pub(crate) fn is_found_like(&self, other: &Self) -> bool {
        self.path == other.path && self.http == other.http && self.websocket == other.websocket
    }

    /// Whether an entry that only Python can match could answer, by what it says without the application's code.
    ///
    /// # Errors
    /// Those of comparing the path.
    pub(crate) fn may_match(&self, scope: &Bound<'_, PyDict>, path: &str) -> PyResult<bool> {
        let Some(may_match) = &self.may_match else { return Ok(true) };
        may_match.bind(scope.py()).call1((scope, path))?.is_truthy()
    }

    /// Whether it answers this method, or any.
    ///
    /// # Errors
    /// Those of looking the method up, where the methods are an object of the application's own.
    #[inline]
    pub(crate) fn allows(&self, method: &Bound<'_, PyString>) -> PyResult<bool> {
        let py = method.py();
        if let Some(owner) = &self.methods_of {
            return match owner.bind(py).getattr_opt(intern!(py, "methods"))? {
                Some(methods) => contains(&methods, method),
                None => Ok(true),
            };
        }
        match self.methods.bind(py).cast_exact::<PySet>() {
            Ok(methods) => Ok(methods.is_empty() || methods.contains(method)?),
            Err(_) => contains(self.methods.bind(py), method),
        }
    }

    /// Whether it is a path operation.
    pub(crate) fn is_operation(&self) -> bool {
        self.http && self.compile.is_some()
    }

    /// The plan of a path operation, compiled if it is not yet; none if Python answers.
    ///
    /// # Errors
    /// Whatever compiling raises.
    #[inline]
    pub(crate) fn plan(&self, py: Python<'_>) -> PyResult<Option<&Py<Plan>>> {
        let Some(compile) = &self.compile else { return Ok(None) };
        if let Some(plan) = self.plan.get() {
            return Ok(plan.as_ref());
        }
        // No lock is held while Python compiles: two threads may both do it, and the first one's plan is kept.
        let compiled = compile.call0(py)?.extract::<Option<Py<Plan>>>(py)?;
        Ok(self.plan.get_or_init(|| compiled).as_ref())
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
    /// Put it into the scope; the path parameters are joined with those of the mounts around the application, and
    /// returned if there are any.
    ///
    /// # Errors
    /// Those of changing the scope.
    pub(crate) fn apply<'py>(&self, scope: &Bound<'py, PyDict>) -> PyResult<PathParams<'py>> {
        let (py, entry) = (scope.py(), self.entry.get());
        let noted = match &entry.fastapi_items {
            None => None,
            Some(items) => match (fastapi_scope(scope)?, items.bind(py)) {
                (Ok(kept), items) => match form_limits(&kept, items)? {
                    Ok(limits) => Some((kept, items, limits)),
                    Err(unusual) => return Ok(Err(unusual)),
                },
                (Err(unusual), _) => return Ok(Err(unusual)),
            },
        };
        if let Some(application) = &self.application {
            scope.set_item(intern!(py, "app"), application)?;
        }
        ffi::set_default(scope, intern!(py, "router"), self.router.bind(py))?;
        for (key, value) in &entry.scope_items {
            scope.set_item(key, value)?;
        }
        let Ok(path_params) = self.join_path_params(scope)? else { return Ok(Err(Unusual)) };
        if let Some((kept, items, limits)) = noted {
            kept.update(items.as_mapping())?;
            if let Some(limits) = limits {
                kept.set_item(intern!(py, "form_limits"), limits)?;
            }
        }
        Ok(Ok(path_params))
    }

    #[inline]
    fn join_path_params<'py>(&self, scope: &Bound<'py, PyDict>) -> PyResult<PathParams<'py>> {
        let (py, key) = (scope.py(), intern!(scope.py(), "path_params"));
        let own = self.path_params.as_ref().map(|own| own.bind(py).clone());
        let put = own.clone().unwrap_or_else(|| PyDict::new(py));
        if ffi::set_default(scope, key, &put)? {
            return Ok(Ok(own));
        }
        let Ok(Some(outer)) = Scope(scope).path_params()? else { return Ok(Err(Unusual)) };
        let joined = outer.copy()?;
        joined.update(put.as_mapping())?;
        scope.set_item(key, &joined)?;
        Ok(Ok(Some(joined)))
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
/// Those of changing the scope.
pub(crate) fn fastapi_scope<'py>(scope: &Bound<'py, PyDict>) -> PyResult<Result<Bound<'py, PyDict>, Unusual>> {
    let key = intern!(scope.py(), "fastapi");
    if let Some(known) = scope.get_item(key)? {
        return Ok(known.cast_into().map_err(|_| Unusual));
    }
    let made = PyDict::new(scope.py());
    scope.set_item(key, &made)?;
    Ok(Ok(made))
}

/// The limits of forms that a request gets of its own: those around this router, overridden by the entry's `items`.
fn form_limits<'py>(
    kept: &Bound<'py, PyDict>,
    items: &Bound<'py, PyDict>,
) -> PyResult<Result<Option<Bound<'py, PyDict>>, Unusual>> {
    let key = intern!(kept.py(), "form_limits");
    let Some(own) = items.get_item(key)? else { return Ok(Ok(None)) };
    let outer = kept.get_item(key)?.unwrap_or_else(|| own.clone());
    let Ok(outer) = outer.cast_exact::<PyDict>() else { return Ok(Err(Unusual)) };
    let limits = outer.copy()?;
    limits.update(own.cast::<PyMapping>()?)?;
    Ok(Ok(Some(limits)))
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
    /// An entry for the route that `candidate` is, found by its path, or matched by Python.
    #[new]
    #[pyo3(signature = (
        *, path, methods, methods_of, http, websocket, route, may_match, compile, scope_items, fastapi_items, limit, cancels,
        telemetry_path, candidate, include_path
    ))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords")]
    fn new(
        path: Option<String>,
        methods: Py<PyAny>,
        methods_of: Option<Py<PyAny>>,
        http: bool,
        websocket: bool,
        route: Py<PyAny>,
        may_match: Option<Py<PyAny>>,
        compile: Option<Py<PyAny>>,
        scope_items: &Bound<'_, PyDict>,
        fastapi_items: Option<Py<PyDict>>,
        limit: Option<u64>,
        cancels: bool,
        telemetry_path: Option<Py<PyAny>>,
        candidate: Py<PyAny>,
        include_path: Py<PyAny>,
    ) -> PyResult<Self> {
        let items = scope_items.iter().map(|(key, value)| Ok((key.cast_into()?.unbind(), value.unbind())));
        Ok(Self {
            template: path.as_deref().and_then(Template::parse),
            path,
            methods,
            methods_of,
            http,
            websocket,
            route,
            may_match,
            compile,
            scope_items: items.collect::<PyResult<_>>()?,
            fastapi_items,
            limit,
            cancels,
            telemetry_path,
            candidate,
            include_path,
            plan: OnceLock::new(),
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Self { methods_of, may_match, compile, telemetry_path, .. } = self;
        [methods_of, may_match, compile, telemetry_path].into_iter().try_for_each(|object| visit.call(object))?;
        let Self { methods, route, candidate, include_path, .. } = self;
        [methods, route, candidate, include_path].into_iter().try_for_each(|object| visit.call(object))?;
        self.scope_items.iter().try_for_each(|(_, value)| visit.call(value))?;
        visit.call(&self.fastapi_items)?;
        match self.plan.get() {
            Some(plan) => visit.call(plan),
            None => Ok(()),
        }
    }
}

/// Which entries answer a method, looked up while the paths are compared, and the error of a look-up that failed.
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
                // The first one counts.
                self.failed.set(Some(self.failed.take().unwrap_or(error)));
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
