//! What the ecosystem and applications replace at run time: while nothing is, a request may pass the driver.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use pyo3::intern;
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

/// An attribute of one instance, which is looked up again only when the instance or its class was modified.
#[derive(Debug)]
pub(crate) struct Attribute {
    owner: Py<PyAny>,
    name: Py<PyString>,
    value: Py<PyAny>,
    /// Whether the owner keeps attributes in a dict.
    has_dict: bool,
    /// The versions of the instance's dict and of its class in which the attribute was this value.
    instance: AtomicU64,
    class: AtomicU32,
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

impl Attribute {
    /// The attribute `name`, which is expected to be `value`.
    pub(crate) fn new(owner: &Bound<'_, PyAny>, name: &Bound<'_, PyString>, value: Py<PyAny>) -> Self {
        Self {
            owner: owner.clone().unbind(),
            name: name.clone().unbind(),
            value,
            has_dict: ffi::instance_dict(owner).is_ok(),
            instance: AtomicU64::new(0),
            class: AtomicU32::new(0),
        }
    }

    /// What it is now, looked up.
    ///
    /// # Errors
    /// `AttributeError`: the instance has lost it.
    pub(crate) fn get<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.owner.bind(py).getattr(&self.name)
    }

    /// The expected value, if it is still that.
    ///
    /// # Errors
    /// Whatever a lookup raises.
    #[inline]
    pub(crate) fn unchanged<'a, 'py>(&'a self, py: Python<'py>) -> PyResult<Option<&'a Bound<'py, PyAny>>> {
        let owner = self.owner.bind(py);
        let version = if self.has_dict { ffi::instance_version(owner) } else { None };
        let instance = version.map_or(0, NonZeroU64::get);
        let class = ffi::type_version(&owner.get_type());
        let is_known = instance != 0
            && class != 0
            && instance == self.instance.load(Ordering::Relaxed)
            && class == self.class.load(Ordering::Relaxed);
        Ok((is_known || self.is_whole(py, instance)?).then(|| self.value.bind(py)))
    }

    #[cold]
    fn is_whole(&self, py: Python<'_>, instance: u64) -> PyResult<bool> {
        if !self.get(py)?.is(&self.value) {
            return Ok(false);
        }
        if instance != 0 && self.is_kept_in_the_instance(py)? {
            // The lookup has given the class a version if it had none.
            self.class.store(ffi::type_version(&self.owner.bind(py).get_type()), Ordering::Relaxed);
            self.instance.store(instance, Ordering::Relaxed);
        }
        Ok(true)
    }

    /// Whether nothing but the instance and its class has a say in what the attribute is.
    fn is_kept_in_the_instance(&self, py: Python<'_>) -> PyResult<bool> {
        let owner = self.owner.bind(py);
        let lookup = intern!(py, "__getattribute__");
        let class = owner.get_type();
        let is_descriptor = class
            .getattr_opt(&self.name)?
            .map_or(Ok(false), |default| default.get_type().hasattr(intern!(py, "__set__")))?;
        let kept = ffi::instance_dict(owner)?.cast_into::<PyDict>()?.get_item(&self.name)?;
        Ok(!is_descriptor
            && class.getattr(lookup)?.is(&py.get_type::<PyAny>().getattr(lookup)?)
            && kept.is_some_and(|kept| kept.is(&self.value)))
    }

    pub(crate) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.owner)?;
        visit.call(&self.value)
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
