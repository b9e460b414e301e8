//! The names that the ecosystem replaces at run time: while none is, a request may pass the driver.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyType};
use pyo3::{PyTraverseError, PyVisit};

use crate::ffi;

/// A module's globals or a class, a name in it, and what stands there when nobody has replaced it.
pub(crate) type PatchPoint = (Py<PyAny>, Py<PyString>, Py<PyAny>);

/// The names of one module, which are looked up again only when its globals were modified.
#[derive(Debug)]
struct Module {
    globals: Py<PyDict>,
    names: Vec<(Py<PyString>, Py<PyAny>)>,
    /// The version in which nothing was replaced.
    version: AtomicU64,
}

/// The names of one class, which is looked at again only when it or a base of it was modified.
#[derive(Debug)]
struct Class {
    object: Py<PyType>,
    names: Vec<(Py<PyString>, Py<PyAny>)>,
    /// The version in which nothing was replaced.
    version: AtomicU32,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Patches {
    modules: Vec<Module>,
    classes: Vec<Class>,
}

impl Patches {
    /// Group the points by their namespace.
    ///
    /// # Errors
    /// A namespace that is neither a dict nor a class.
    pub(crate) fn new(py: Python<'_>, points: Vec<PatchPoint>) -> PyResult<Self> {
        let mut patches = Self::default();
        for (namespace, name, original) in points {
            let namespace = namespace.bind(py);
            if let Ok(globals) = namespace.cast_exact::<PyDict>() {
                match patches.modules.iter_mut().find(|module| module.globals.is(globals)) {
                    Some(module) => module.names.push((name, original)),
                    None => patches.modules.push(Module {
                        globals: globals.clone().unbind(),
                        names: vec![(name, original)],
                        version: AtomicU64::new(0),
                    }),
                }
            } else {
                let class = namespace.cast::<PyType>()?;
                match patches.classes.iter_mut().find(|known| known.object.is(class)) {
                    Some(known) => known.names.push((name, original)),
                    None => patches.classes.push(Class {
                        object: class.clone().unbind(),
                        names: vec![(name, original)],
                        version: AtomicU32::new(0),
                    }),
                }
            }
        }
        Ok(patches)
    }

    /// Whether every name is what it was.
    ///
    /// # Errors
    /// `AttributeError`: a class has lost one.
    #[inline]
    pub(crate) fn are_absent(&self, py: Python<'_>) -> PyResult<bool> {
        for module in &self.modules {
            let version = ffi::dict_version(module.globals.bind(py)).map_or(0, NonZeroU64::get);
            if (version == 0 || version != module.version.load(Ordering::Relaxed)) && !module.is_whole(py, version)? {
                return Ok(false);
            }
        }
        for class in &self.classes {
            let version = ffi::type_version(class.object.bind(py));
            if (version == 0 || version != class.version.load(Ordering::Relaxed)) && !class.is_whole(py, version)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(crate) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        for module in &self.modules {
            visit.call(&module.globals)?;
        }
        self.classes.iter().try_for_each(|class| visit.call(&class.object))
    }
}

impl Module {
    #[cold]
    fn is_whole(&self, py: Python<'_>, version: u64) -> PyResult<bool> {
        for (name, original) in &self.names {
            if !self.globals.bind(py).get_item(name)?.is_some_and(|current| current.is(original)) {
                return Ok(false);
            }
        }
        self.version.store(version, Ordering::Relaxed);
        Ok(true)
    }
}

impl Class {
    #[cold]
    fn is_whole(&self, py: Python<'_>, version: u32) -> PyResult<bool> {
        for (name, original) in &self.names {
            if !self.object.bind(py).getattr(name)?.is(original) {
                return Ok(false);
            }
        }
        self.version.store(version, Ordering::Relaxed);
        Ok(true)
    }
}
