//! An attribute of one object that a plan expects to stay as it is.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyType};
use pyo3::{PyTraverseError, PyVisit};

use crate::ffi;
use crate::witness::{Row, Witness};

/// An attribute of one instance, which is looked up again only when the instance or its class was modified.
#[derive(Debug)]
pub(crate) struct Attribute {
    owner: Py<PyAny>,
    name: Py<PyString>,
    value: Py<PyAny>,
    /// Whether the attribute is as it was, if nothing but the instance's dict and its class has a say in that.
    kept: Option<Kept>,
}

#[derive(Debug)]
struct Kept {
    class: Py<PyType>,
    dict: Py<PyDict>,
    witness: Witness,
}

impl Kept {
    /// What says that `value` is the attribute of its owner; nothing if it is not kept in the owner's dict.
    fn of(owner: &Bound<'_, PyAny>, name: &Bound<'_, PyString>, value: &Py<PyAny>) -> PyResult<Option<Self>> {
        let py = owner.py();
        let Ok(dict) = ffi::instance_dict(owner) else { return Ok(None) };
        let (class, dict) = (owner.get_type(), dict.cast_into::<PyDict>()?);
        let lookup = intern!(py, "__getattribute__");
        let is_kept = dict.get_item(name)?.is_some_and(|kept| kept.is(value))
            && class.getattr(lookup)?.is(&py.get_type::<PyAny>().getattr(lookup)?)
            && !class.hasattr(name)?;
        if !is_kept || !ffi::holds_all_attributes(&dict) {
            return Ok(None);
        }
        let mut rows = vec![Row::of(&dict, name, Some(value.clone_ref(py)))?];
        // The last one is `object`, which cannot be modified.
        for base in class.mro().iter().take(class.mro().len() - 1) {
            let own = ffi::class_dict(base.cast::<PyType>()?)?;
            for name in [name, lookup] {
                rows.push(Row::of(&own, name, own.get_item(name)?.map(Bound::unbind))?);
            }
        }
        Ok(Some(Self { class: class.unbind(), dict: dict.unbind(), witness: Witness::of_rows(py, rows)? }))
    }

    #[inline]
    fn is_unchanged(&self, owner: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(self.witness.parts_replaced(owner.py())? == 0
            && owner.get_type().is(&self.class)
            && ffi::instance_dict(owner).is_ok_and(|dict| dict.is(&self.dict)))
    }
}

impl Attribute {
    /// The attribute `name`, which is expected to be `value`.
    ///
    /// # Errors
    /// Whatever a lookup raises; `RuntimeError`: the interpreter cannot watch more dicts.
    pub(crate) fn new(owner: &Bound<'_, PyAny>, name: &Bound<'_, PyString>, value: Py<PyAny>) -> PyResult<Self> {
        let kept = Kept::of(owner, name, &value)?;
        Ok(Self { owner: owner.clone().unbind(), name: name.clone().unbind(), value, kept })
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
        let is_unchanged = match &self.kept {
            Some(kept) => kept.is_unchanged(self.owner.bind(py))?,
            None => self.get(py)?.is(&self.value),
        };
        Ok(is_unchanged.then(|| self.value.bind(py)))
    }

    pub(crate) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.owner)?;
        visit.call(&self.value)?;
        self.kept.as_ref().map_or(Ok(()), |kept| {
            visit.call(&kept.class)?;
            visit.call(&kept.dict)?;
            kept.witness.visit(visit)
        })
    }
}
