//! An attribute of one object that a plan expects to stay as it is.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use pyo3::{PyTraverseError, PyVisit};

use crate::ffi;

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

    /// What it is now, if neither that nor its owner is false.
    ///
    /// # Errors
    /// Whatever a lookup or a truth value raises.
    pub(crate) fn given<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if !self.owner.bind(py).is_truthy()? {
            return Ok(None);
        }
        let value = self.get(py)?;
        Ok(value.is_truthy()?.then_some(value))
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
