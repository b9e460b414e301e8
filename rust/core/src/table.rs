//! The route list of one router as a table: which route answers a scope, and the driver that runs it.
//!
//! Mounts, plain routes and WebSocket routes are found here and answered by Python; hosts, custom convertors and
//! overridden `matches` are matched by Python in their turn.

mod listing;
mod matching;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use pyo3::{PyTraverseError, PyVisit};
use wire::Find;

use self::listing::Listings;
use crate::awaitable::Awaitable;
use crate::connection::Channels;
use crate::drive::{Client, Driver};
use crate::entry::{Entry, Selection, fastapi_scope};
use crate::error::guarded;
use crate::plan::{Holding, Plan, Reading};
use crate::scope::{Scope, Unusual};
use crate::snapshot::Snapshot;
use crate::witness::{self, Parts};
use crate::{body, ffi, names, observer};

/// A router's routes, compiled.
#[pyclass(frozen, module = "ferroapi._core")]
pub(crate) struct RouteTable {
    entries: Vec<Py<Entry>>,
    /// Shared with the table before this one, as long as only other things of the routes change than where they are found.
    listings: Arc<Listings>,
    router: Py<PyAny>,
    /// What matching and refusing stand for; what a plan does, it says itself.
    parts: Parts,
    /// What is passed over between a route and its application.
    handle: Parts,
    /// What else is passed over where nothing stands between the server and this table.
    entrance: Parts,
    /// Whether a path that no entry answers is refused in Starlette's own way: nothing stands in for missing routes.
    refuses: bool,
    /// Whether a request that no entry answers has been to an included router, which makes `scope["fastapi"]`.
    includes: bool,
    /// The largest body of a request that no entry answers, in bytes.
    limit: Option<u64>,
    /// The lists of routes that are the application's own, which do not tell when they are edited; none if there are none.
    own_lists: Option<Py<Snapshot>>,
    /// Whether a route, or the list of them, has changed since this table was made, as far as these tell.
    is_expired: AtomicBool,
}

impl RouteTable {
    /// The driver that refuses a path which no route answers, unless a redirect or something of the router's own might.
    fn refuse(
        &self,
        py: Python<'_>,
        path: &str,
        method: &Bound<'_, PyString>,
        (channels, application): (&Channels, Option<&Py<PyAny>>),
    ) -> PyResult<Option<Box<Driver>>> {
        let (Some(application), Channels::Asgi { scope, .. }, true) = (application, channels, self.refuses) else {
            return Ok(None);
        };
        if path != "/" && self.router.bind(py).getattr(intern!(py, "redirect_slashes"))?.is_truthy()? {
            let twin = match path.strip_suffix('/') {
                Some(_) => path.trim_end_matches('/').to_owned(),
                None => format!("{path}/"),
            };
            let http = &self.listings.http;
            if !http.matched_by_python.is_empty() || !matches!(self.look_up(http, &twin, Some(method))?, Find::None) {
                return Ok(None);
            }
        }
        let scope = scope.bind(py);
        if self.limit.map_or(Ok(false), |limit| body::is_within(Scope(scope), limit).map(|is_within| !is_within))? {
            return Ok(None);
        }
        scope.set_item(intern!(py, "app"), application)?;
        ffi::set_default(scope, intern!(py, "router"), self.router.bind(py))?;
        if self.includes && fastapi_scope(scope)?.is_err() {
            return Ok(None);
        }
        let refusal = PyErr::from_value(names::not_found(py)?.call0()?);
        Ok(Some(Driver::refusing(channels.clone_ref(py), application.clone_ref(py), refusal)))
    }

    /// Whether entries are found where those of this table are.
    fn finds_like(&self, entries: &[Py<Entry>]) -> bool {
        let mut pairs = self.entries.iter().zip(entries);
        self.entries.len() == entries.len()
            && pairs.all(|(own, other)| own.is(other) || own.get().is_found_like(other.get()))
    }

    /// The table that has what the entry at `index` is now: somebody has edited what it was compiled from.
    #[cold]
    fn renewed<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, Self>> {
        Ok(self.router.bind(py).call_method1(intern!(py, "_renew_table"), (index,))?.cast_into()?)
    }

    /// What answers, as far as this table knows.
    #[inline]
    fn selected_operation<'py>(
        &self,
        py: Python<'py>,
        channels: &Channels,
        application: Option<&Py<PyAny>>,
    ) -> PyResult<Answering<'_, 'py>> {
        let passed = if application.is_some() { self.parts | self.entrance } else { self.parts };
        let Some(target) = channels.target(py)? else { return Ok(Answering::Python) };
        let (Some(path), method) = (target.path(), &target.method) else { return Ok(Answering::Python) };
        let scope = match channels {
            Channels::Asgi { scope, .. } => Some(scope.bind(py)),
            Channels::Direct { .. } => None,
        };
        let listing = &self.listings.http;
        let (found, index) = match self.look_up(listing, path, Some(method))? {
            Find::Full(found) => {
                let index = *found.value;
                (found, index)
            }
            Find::None
                if !witness::is_any_replaced(py, passed)? && !self.may_python_match(listing, scope, None, path)? =>
            {
                let refusing = self.refuse(py, path, method, (channels, application))?;
                return Ok(refusing.map_or(Answering::Python, Answering::Refused));
            }
            Find::None | Find::Partial(_) => return Ok(Answering::Python),
        };
        if self.may_python_match(listing, scope, Some(index), path)? {
            return Ok(Answering::Python);
        }
        let Some(entry) = self.entries.get(index) else { return Ok(Answering::Python) };
        let mut holding = None;
        if let Some(plan) = entry.get().plan(py)? {
            if !plan.get().is_true_to_its_source(py)? {
                return Ok(Answering::Outdated(index));
            }
            holding = Plan::holding(plan, py, passed | self.handle)?;
        }
        if holding.is_none() && (!entry.get().is_operation() || witness::is_any_replaced(py, passed)?) {
            return Ok(Answering::Python);
        }
        Ok(match listing.path_params(py, (found.index, &found.captures))? {
            Ok(path_params) => Answering::Operation { entry, holding, path_params },
            Err(Unusual) => Answering::Python,
        })
    }

    /// The driver of the path operation that answers, as far as this table knows; none if Python must answer.
    #[inline]
    fn drive_current(
        &self,
        py: Python<'_>,
        channels: Channels,
        (application, may_be_observed): (Option<&Py<PyAny>>, bool),
    ) -> PyResult<Result<Option<Box<Driver>>, OutdatedEntry>> {
        let (entry, holding, path_params) = match self.selected_operation(py, &channels, application)? {
            Answering::Operation { entry, holding, path_params } => (entry, holding, path_params),
            Answering::Refused(driver) => return Ok(Ok(Some(driver))),
            Answering::Outdated(index) => return Ok(Err(OutdatedEntry { index, channels })),
            Answering::Python => return Ok(Ok(None)),
        };
        let Some(holding) = holding else {
            let selection = self.selection(py, entry, path_params, application);
            return Driver::handling(py, channels, selection, may_be_observed).map(Ok);
        };
        let channels = match entry.get().limit {
            None => channels,
            Some(limit) => match Self::limit_body(py, holding, (&channels, application), limit)? {
                None => return Ok(Ok(None)),
                Some(channels) => channels,
            },
        };
        let Ok(path_params) = channels.select(py, self.selection(py, entry, path_params, application))? else {
            return Ok(Ok(None));
        };
        let is_observed = match &channels {
            Channels::Asgi { scope, .. } if may_be_observed => {
                observer::select(scope.bind(py), entry.get().telemetry_path.as_ref())?
            }
            _ => false,
        };
        let application = application.map(|application| application.clone_ref(py));
        let mut channels = channels;
        let client = entry.get().cancels.then(|| Client::of(py, &mut channels)).transpose()?;
        let mut driver = Driver::native(py, holding, channels, application, path_params, is_observed)?;
        driver.client = client;
        driver.limit = entry.get().limit;
        Ok(Ok(Some(driver)))
    }

    /// The channels with a body under its limit; none if Python must answer: Starlette refuses what is announced to be larger.
    #[cold]
    #[inline(never)]
    fn limit_body(
        py: Python<'_>,
        Holding { plan, by_name }: Holding<'_>,
        (channels, application): (&Channels, Option<&Py<PyAny>>),
        limit: u64,
    ) -> PyResult<Option<Channels>> {
        let Channels::Asgi { scope, receive, send } = channels else { return Ok(None) };
        let bound = scope.bind(py);
        if !body::is_within(Scope(bound), limit)? {
            return Ok(None);
        }
        let is_around = bound.contains(intern!(py, "starlette._body_limit_responder"))?;
        let (plan, is_shown) = (plan.get(), by_name.steps || by_name.request || plan.get().opens_stacks);
        if !is_around && plan.body == Reading::Unread && !is_shown && !plan.has_overrides(py)? {
            return Ok(Some(channels.clone_ref(py)));
        }
        let limited = names::limited_receive(py)?.call1((application, scope, receive, send, limit))?;
        Ok((!limited.is_none()).then(|| Channels::Asgi {
            scope: scope.clone_ref(py),
            receive: limited.unbind(),
            send: send.clone_ref(py),
        }))
    }

    fn selection(
        &self,
        py: Python<'_>,
        entry: &Py<Entry>,
        path_params: Option<Bound<'_, PyDict>>,
        application: Option<&Py<PyAny>>,
    ) -> Selection {
        Selection {
            entry: entry.clone_ref(py),
            router: self.router.clone_ref(py),
            application: application.map(|application| application.clone_ref(py)),
            path_params: path_params.map(Bound::unbind),
        }
    }
}

/// The index of an entry, if one answers, and what its `matches` returned if Python matched it.
type Found<'py> = (Option<usize>, Option<Bound<'py, PyAny>>);

/// What answers a request.
enum Answering<'a, 'py> {
    Operation {
        entry: &'a Py<Entry>,
        /// None if its route must be called by name.
        holding: Option<Holding<'a>>,
        path_params: Option<Bound<'py, PyDict>>,
    },
    /// No route does, which is said by this driver.
    Refused(Box<Driver>),
    /// The entry at this index has to be compiled again, before anybody can answer.
    Outdated(usize),
    /// Python must.
    Python,
}

/// An entry that has to be compiled again, and the request that waits for it.
struct OutdatedEntry {
    index: usize,
    channels: Channels,
}

#[pymethods]
impl RouteTable {
    /// Compile a router's entries; `parts` is what matching stands for, `handle` what a route does to come to its
    /// application, `entrance` what a server's way to the table does, and `previous` the table before.
    #[new]
    #[pyo3(signature = (*, entries, router, parts, handle, entrance, refuses, includes, limit, previous, own_lists))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords")]
    fn new(
        entries: Vec<Py<Entry>>,
        router: Py<PyAny>,
        parts: Parts,
        handle: Parts,
        entrance: Parts,
        refuses: bool,
        includes: bool,
        limit: Option<u64>,
        previous: Option<&Bound<'_, Self>>,
        own_lists: Option<Py<Snapshot>>,
    ) -> Self {
        let listings = previous
            .map(Bound::get)
            .filter(|previous| previous.finds_like(&entries))
            .map_or_else(|| Arc::new(Listings::of(&entries)), |previous| Arc::clone(&previous.listings));
        Self {
            entries,
            listings,
            router,
            parts,
            handle,
            entrance,
            refuses,
            includes,
            limit,
            own_lists,
            is_expired: AtomicBool::new(false),
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.router)?;
        visit.call(&self.own_lists)?;
        self.entries.iter().try_for_each(|entry| visit.call(entry))
    }

    /// Whether no route has changed since the table was made.
    #[getter(is_current)]
    fn is_current_guarded(&self, py: Python<'_>) -> PyResult<bool> {
        guarded(|| self.is_current(py))
    }

    /// Note that a route, or the list of them, has changed.
    fn expire(&self) {
        self.is_expired.store(true, Ordering::Release);
    }

    /// The driver of the path operation that answers `scope`, or `None` if Python must answer.
    fn drive(
        &self,
        py: Python<'_>,
        scope: &Bound<'_, PyAny>,
        receive: Py<PyAny>,
        send: Py<PyAny>,
    ) -> PyResult<Option<Awaitable>> {
        guarded(|| {
            let Ok(scope) = scope.cast_exact::<PyDict>() else { return Ok(None) };
            let channels = Channels::Asgi { scope: scope.clone().unbind(), receive, send };
            Ok(self.driver(py, channels, (None, true))?.map(|driver| Awaitable::of(driver)))
        })
    }

    /// The plan of the websocket endpoint that answers `scope`, which gets what the endpoint finds there; `None` if
    /// Python must answer.
    fn connect(&self, py: Python<'_>, scope: &Bound<'_, PyAny>) -> PyResult<Option<Py<Plan>>> {
        guarded(|| match scope.cast_exact::<PyDict>() {
            Ok(scope) => self.websocket_plan(py, scope, None),
            Err(_) => Ok(None),
        })
    }

    /// The index of the entry that answers `scope`, if one does, full match first, with what its `matches` returned if
    /// Python matched it; `None` if only the entries can say.
    fn select<'py>(&self, scope: &Bound<'py, PyAny>) -> PyResult<Option<Found<'py>>> {
        guarded(|| self.selected(scope))
    }
}

impl RouteTable {
    /// Whether no route has changed since the table was made.
    ///
    /// # Errors
    /// None: lists are compared by the addresses of their items.
    #[inline]
    pub(crate) fn is_current(&self, py: Python<'_>) -> PyResult<bool> {
        let is_told = self.is_expired.load(Ordering::Acquire);
        Ok(!is_told && self.own_lists.as_ref().map_or(Ok(true), |lists| lists.get().is_current(py))?)
    }

    /// The driver of the path operation that answers, or `None` if Python must answer.
    ///
    /// `outermost` is the application, if nothing of it stands between the server and the table, and whether the request
    /// may be observed.
    pub(crate) fn driver(
        &self,
        py: Python<'_>,
        channels: Channels,
        outermost: (Option<&Py<PyAny>>, bool),
    ) -> PyResult<Option<Box<Driver>>> {
        match self.drive_current(py, channels, outermost)? {
            Ok(driver) => Ok(driver),
            Err(OutdatedEntry { index, channels }) => {
                let renewed = self.renewed(py, index)?;
                // What changes each time that it is looked at is looked at by Python.
                Ok(renewed.get().drive_current(py, channels, outermost)?.unwrap_or(None))
            }
        }
    }

    /// The plan of the websocket endpoint that answers `scope`, which gets what the endpoint finds there; nothing if Python
    /// must answer.
    ///
    /// # Errors
    /// Whatever compiling raises.
    pub(crate) fn websocket_plan(
        &self,
        py: Python<'_>,
        scope: &Bound<'_, PyDict>,
        application: Option<&Py<PyAny>>,
    ) -> PyResult<Option<Py<Plan>>> {
        let passed = if application.is_some() { self.parts | self.entrance } else { self.parts };
        let view = Scope(scope);
        let Ok(path) = view.path()? else { return Ok(None) };
        let Some(path) = path.below_application() else { return Ok(None) };
        let listing = &self.listings.websocket;
        let Find::Full(found) = self.look_up(listing, path, None)? else { return Ok(None) };
        if self.may_python_match(listing, Some(scope), Some(*found.value), path)? {
            return Ok(None);
        }
        let renewed;
        let mut entry = self.entries.get(*found.value);
        let is_outdated = |entry: &Py<Entry>| match entry.get().plan(py)? {
            Some(plan) => plan.get().is_true_to_its_source(py).map(|is_true| !is_true),
            None => Ok(false),
        };
        if entry.map_or(Ok(false), is_outdated)? {
            renewed = self.renewed(py, *found.value)?;
            entry = renewed.get().entries.get(*found.value);
        }
        let Some(entry) = entry else { return Ok(None) };
        let Some(plan) = entry.get().plan(py)? else { return Ok(None) };
        if !plan.get().is_true_to_its_source(py)? || !plan.get().holds(py, passed | self.handle)? {
            return Ok(None);
        }
        let Ok(path_params) = listing.path_params(py, (found.index, &found.captures))? else { return Ok(None) };
        let selection = self.selection(py, entry, path_params, application);
        if selection.apply(scope)?.is_err() {
            return Ok(None);
        }
        observer::select(scope, entry.get().telemetry_path.as_ref())?;
        Ok(Some(plan.clone_ref(py)))
    }

    fn selected<'py>(&self, scope: &Bound<'py, PyAny>) -> PyResult<Option<Found<'py>>> {
        let Ok(scope) = scope.cast_exact::<PyDict>() else { return Ok(None) };
        let view = Scope(scope);
        let (Ok(Some(kind)), Ok(path), Ok(method)) = (view.kind()?, view.path()?, view.method()?) else {
            return Ok(None);
        };
        let Some(listing) = self.listings.for_type(&kind, method.is_some()) else { return Ok(None) };
        let Some(path) = path.below_application() else { return Ok(None) };
        let found = self.find(scope, listing, path, method.as_ref())?;
        Ok(Some(found.map_or((None, None), |selected| (Some(selected.entry), selected.matched))))
    }
}
