//! Whether what the engine stands for is as it was defined: a table of names, and one question.
//!
//! The rows are `ferroapi._witness`'s; the middleware stack of each application has a table of its own.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::sync::critical_section::with_critical_section;
use pyo3::types::{PyDict, PyString};
use pyo3::{PyTraverseError, PyVisit};

use crate::error::{Error, guarded};
use crate::watched::{Watched, namespace};

/// What there is for all applications.
static TABLE: PyOnceLock<Table> = PyOnceLock::new();

struct Table {
    whole: Py<Witness>,
    /// The parts that every request is run by.
    passed: Parts,
    /// `follow()`: set what was replaced in a module in those that do its work.
    follow: Py<PyAny>,
    /// The rows that some parts stand for, made once for the plans that have the same: they ask for no others.
    views: Mutex<Vec<(Parts, Arc<Witness>)>>,
}

/// Some parts of the engine, as bits: each stands for the names of its rows.
pub(crate) type Parts = u32;

/// One name of a module, a class or an instance.
#[pyclass(frozen, module = "ferroapi._core")]
#[derive(Debug)]
pub(crate) struct Row {
    namespace: Py<PyDict>,
    name: Py<PyString>,
    /// The parts that stand for it.
    parts: Parts,
    /// What must be found there; none if only `is_defined` can tell.
    original: Option<Py<PyAny>>,
    /// Whether nothing may be found there: the name is a base's, or found in another way.
    may_lack: bool,
    /// `is_defined(object)`: whether this is what must be found there.
    is_defined: Option<Py<PyAny>>,
    /// What `explain` calls it.
    label: Py<PyString>,
}

#[pymethods]
impl Row {
    /// A row of a name of `owner`: a module, a class, an instance, or the dict of one.
    #[new]
    #[pyo3(signature = (*, owner, name, parts, original, may_lack, is_defined, label))]
    fn new(
        owner: &Bound<'_, PyAny>,
        name: Py<PyString>,
        parts: Parts,
        original: Option<Py<PyAny>>,
        may_lack: bool,
        is_defined: Option<Py<PyAny>>,
        label: Py<PyString>,
    ) -> PyResult<Self> {
        let namespace = namespace(owner)?.unbind();
        Ok(Self { namespace, name, parts, original, may_lack, is_defined, label })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.namespace)?;
        visit.call(&self.original)?;
        visit.call(&self.is_defined)
    }
}

impl Row {
    /// A name that must go on meaning this, or nothing.
    ///
    /// # Errors
    /// There is no memory for it.
    pub(crate) fn of(
        namespace: &Bound<'_, PyDict>,
        name: &Bound<'_, PyString>,
        found: Option<Py<PyAny>>,
    ) -> PyResult<Py<Self>> {
        let row = Self {
            namespace: namespace.clone().unbind(),
            name: name.clone().unbind(),
            parts: 1,
            may_lack: found.is_none(),
            original: found,
            is_defined: None,
            label: name.clone().unbind(),
        };
        Py::new(name.py(), row)
    }

    fn is_whole(&self, py: Python<'_>) -> PyResult<bool> {
        let namespace = self.namespace.bind(py);
        // Where threads run side by side, who modifies the dict holds it from the count of that on to the end.
        let Some(found) = with_critical_section(namespace, || namespace.get_item(&self.name))? else {
            return Ok(self.may_lack);
        };
        match (&self.original, &self.is_defined) {
            (Some(original), _) => Ok(found.is(original)),
            (None, Some(is_defined)) => is_defined.bind(py).call1((found,))?.is_truthy(),
            (None, None) => Ok(false),
        }
    }
}

/// Names, and what must be found under them.
#[pyclass(frozen, module = "ferroapi._core")]
#[derive(Debug)]
pub(crate) struct Witness {
    rows: Vec<Py<Row>>,
    watched: Watched,
    /// The version of the namespaces that `replaced` was found in.
    known: AtomicU64,
    replaced: AtomicU32,
    publishing: Mutex<()>,
    /// Whether names of the table's modules are among the rows, so that `follow` is called before they are looked at.
    follows: bool,
}

impl Witness {
    /// # Errors
    /// `RuntimeError`: the interpreter cannot watch more dicts.
    pub(crate) fn of_rows(py: Python<'_>, rows: Vec<Py<Row>>) -> PyResult<Self> {
        Self::watching(py, rows, false)
    }

    fn watching(py: Python<'_>, rows: Vec<Py<Row>>, follows: bool) -> PyResult<Self> {
        let mut dicts: Vec<Py<PyDict>> = Vec::new();
        for Row { namespace, .. } in rows.iter().map(Py::get) {
            if !dicts.iter().any(|known| known.is(namespace)) {
                dicts.push(namespace.clone_ref(py));
            }
        }
        let watched = Watched::new(py, dicts)?;
        let (known, replaced) = (AtomicU64::new(0), AtomicU32::new(0));
        Ok(Self { rows, watched, known, replaced, publishing: Mutex::new(()), follows })
    }

    /// The parts that stand for a name which somebody replaced.
    ///
    /// # Errors
    /// Those of `is_defined`.
    #[inline]
    pub(crate) fn parts_replaced(&self, py: Python<'_>) -> PyResult<Parts> {
        let version = self.watched.version(py);
        if version == self.known.load(Ordering::Acquire) {
            return Ok(self.replaced.load(Ordering::Acquire));
        }
        self.look(py, version)
    }

    pub(crate) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.rows.iter().try_for_each(|row| visit.call(row))?;
        self.watched.visit(visit)
    }

    #[cold]
    #[inline(never)]
    fn look(&self, py: Python<'_>, version: u64) -> PyResult<Parts> {
        if let Some(table) = TABLE.get(py).filter(|_| self.follows) {
            table.follow.call0(py)?;
        }
        let mut replaced = 0;
        for row in self.rows.iter().map(Py::get) {
            if replaced & row.parts != row.parts && !row.is_whole(py)? {
                replaced |= row.parts;
            }
        }
        let _lock = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have looked later, and have been faster.
        if version > self.known.load(Ordering::Acquire) {
            self.replaced.store(replaced, Ordering::Release);
            self.known.store(version, Ordering::Release);
        }
        Ok(replaced)
    }
}

#[pymethods]
impl Witness {
    /// Watch the names of these rows.
    #[new]
    fn new(py: Python<'_>, rows: Vec<Py<Row>>) -> PyResult<Self> {
        Self::of_rows(py, rows)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.visit(&visit)
    }

    /// Make these rows the table of all applications, whose requests are run by the parts `passed`; the first one stays.
    ///
    /// `follow` is called whenever something that they watch was modified, before that is looked at.
    #[staticmethod]
    fn install(py: Python<'_>, rows: Vec<Py<Row>>, passed: Parts, follow: Py<PyAny>) -> PyResult<Py<Self>> {
        guarded(|| {
            let whole = Py::new(py, Self::watching(py, rows, true)?)?;
            let table = TABLE.get_or_init(py, || Table { whole, passed, follow, views: Mutex::default() });
            Ok(table.whole.clone_ref(py))
        })
    }

    /// The parts that stand for a name which somebody replaced.
    #[getter]
    fn replaced(&self, py: Python<'_>) -> PyResult<Parts> {
        guarded(|| self.parts_replaced(py))
    }

    /// What the replaced names are called that some of `parts` stand for.
    fn names(&self, py: Python<'_>, parts: Parts) -> PyResult<Vec<Py<PyString>>> {
        guarded(|| {
            let mut names = Vec::new();
            for row in self.rows.iter().map(Py::get).filter(|row| row.parts & parts != 0) {
                if !row.is_whole(py)? {
                    names.push(row.label.clone_ref(py));
                }
            }
            Ok(names)
        })
    }
}

/// The parts of the engine that stand for a name which somebody replaced, for all applications.
///
/// # Errors
/// Those of `Witness::parts_replaced`.
pub(crate) fn replaced(py: Python<'_>) -> PyResult<Parts> {
    // Without a table nothing is known, and the engine stands for nothing.
    TABLE.get(py).map_or(Ok(Parts::MAX), |table| table.whole.get().parts_replaced(py))
}

/// What a request has to ask that is run by these parts.
///
/// # Errors
/// `RuntimeError`, while the package is being imported.
pub(crate) fn of_parts(py: Python<'_>, parts: Parts) -> PyResult<Arc<Witness>> {
    let Some(table) = TABLE.get(py) else { return Err(Error::Unwatched.into()) };
    table.view(py, parts | table.passed)
}

impl Table {
    /// The rows that these parts stand for.
    fn view(&self, py: Python<'_>, parts: Parts) -> PyResult<Arc<Witness>> {
        let known = || {
            let views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
            views.iter().find(|(each, _)| *each == parts).map(|(_, view)| Arc::clone(view))
        };
        if let Some(view) = known() {
            return Ok(view);
        }
        let rows = self.whole.get().rows.iter().filter(|row| row.get().parts & parts != 0);
        let view = Arc::new(Witness::watching(py, rows.map(|row| row.clone_ref(py)).collect(), true)?);
        self.views.lock().unwrap_or_else(PoisonError::into_inner).push((parts, Arc::clone(&view)));
        Ok(view)
    }
}

/// Whether what any of `parts` stands for was replaced.
///
/// Measured with Python 3.11: to look at the versions of all that is watched takes 257 instructions, of what one part
/// stands for a third of that.
///
/// # Errors
/// Those of `Witness::parts_replaced`.
pub(crate) fn is_any_replaced(py: Python<'_>, parts: Parts) -> PyResult<bool> {
    match TABLE.get(py) {
        Some(table) if parts != 0 => Ok(table.view(py, parts)?.parts_replaced(py)? & parts != 0),
        _ => Ok(replaced(py)? & parts != 0),
    }
}

/// Whether what any of `parts` stands for was replaced; of no parts, only what follows a replacement is done.
#[pyfunction]
pub(crate) fn is_replaced(py: Python<'_>, parts: Parts) -> PyResult<bool> {
    guarded(|| is_any_replaced(py, parts))
}
