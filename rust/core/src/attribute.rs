//! An attribute of one object that a plan expects to stay as it is.

use std::sync::atomic::{AtomicU32, Ordering};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyType, PyTypeMethods};
use pyo3::{PyTraverseError, PyVisit};

use crate::ffi;
use crate::witness::{Row, Witness};

/// An attribute of one instance, which is looked up again only when the instance or its class was modified.
#[derive(Debug)]
pub(crate) struct Attribute {
    owner: Py<PyAny>,
    name: Py<PyString>,
    /// The value as it was, if nothing but the instance's dict and its class has a say in it.
    kept: Option<Kept>,
}

#[derive(Debug)]
struct Kept {
    value: Py<PyAny>,
    dict: Py<PyDict>,
    /// Whether the dict has the value.
    witness: Witness,
    class: Py<PyType>,
    /// The version of the class that was seen to leave the attribute to the dict.
    version: AtomicU32,
}

/// Whether the instances of a class have what is in their dicts under this name.
fn leaves_to_dict(class: &Bound<'_, PyType>, name: &Py<PyString>) -> PyResult<bool> {
    let lookup = intern!(class.py(), "__getattribute__");
    let of_object = class.py().get_type::<PyAny>().getattr(lookup)?;
    Ok(class.getattr(lookup)?.is(&of_object) && !class.hasattr(name)?)
}

impl Kept {
    /// The value in the owner's dict; nothing if the attribute may be another object.
    fn of(owner: &Bound<'_, PyAny>, name: &Py<PyString>) -> PyResult<Option<Self>> {
        let py = owner.py();
        let Ok(dict) = ffi::instance_dict(owner) else { return Ok(None) };
        let (class, dict) = (owner.get_type(), dict.cast_into::<PyDict>()?);
        let Some(value) = dict.get_item(name)?.map(Bound::unbind) else { return Ok(None) };
        if !leaves_to_dict(&class, name)? || !ffi::holds_all_attributes(&dict) {
            return Ok(None);
        }
        let row = Row::of(&dict, name.bind(py), Some(value.clone_ref(py)))?;
        let witness = Witness::of_rows(py, vec![row])?;
        Ok(Some(Self { value, dict: dict.unbind(), witness, class: class.unbind(), version: AtomicU32::new(0) }))
    }

    #[inline]
    fn is_unchanged(&self, owner: &Bound<'_, PyAny>, name: &Py<PyString>) -> bool {
        let class = self.class.bind(owner.py());
        let version = ffi::type_version(class);
        owner.get_type_ptr() == class.as_type_ptr()
            && ((version != 0 && version == self.version.load(Ordering::Acquire)) || self.is_left(class, version, name))
            && matches!(self.witness.parts_replaced(owner.py()), Ok(0))
            && ffi::instance_dict(owner).is_ok_and(|dict| dict.is(&self.dict))
    }

    /// Whether the class leaves the attribute to the dict, asked again as its version is another.
    #[cold]
    #[inline(never)]
    fn is_left(&self, class: &Bound<'_, PyType>, version: u32, name: &Py<PyString>) -> bool {
        let is_left = matches!(leaves_to_dict(class, name), Ok(true));
        if is_left {
            self.version.store(version, Ordering::Release);
        }
        is_left
    }
}

impl Attribute {
    /// The attribute `name`.
    ///
    /// # Errors
    /// Whatever a lookup in a class raises; `RuntimeError`: the interpreter cannot watch more dicts.
    pub(crate) fn new(owner: &Bound<'_, PyAny>, name: &Bound<'_, PyString>) -> PyResult<Self> {
        let (owner, name) = (owner.clone(), name.clone().unbind());
        Ok(Self { kept: Kept::of(&owner, &name)?, owner: owner.unbind(), name })
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

    /// What it is still, as far as that is seen without asking the owner.
    #[inline]
    pub(crate) fn unchanged<'a, 'py>(&'a self, py: Python<'py>) -> Option<&'a Bound<'py, PyAny>> {
        let kept = self.kept.as_ref()?;
        kept.is_unchanged(self.owner.bind(py), &self.name).then(|| kept.value.bind(py))
    }

    pub(crate) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.owner)?;
        self.kept.as_ref().map_or(Ok(()), |kept| {
            visit.call(&kept.value)?;
            visit.call(&kept.class)?;
            visit.call(&kept.dict)?;
            kept.witness.visit(visit)
        })
    }
}
