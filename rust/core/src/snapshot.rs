//! Objects as they were when something was compiled from them, and whether they still are that.
//!
//! User code may edit a dependency graph at any time and in place. Nothing tells of it, so it is compared, by addresses.

use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};
use pyo3::{PyTraverseError, PyVisit};

use crate::error::guarded;
use crate::ffi::kept::{Items, Slots};

/// One attribute that is kept in no slot.
#[derive(Debug)]
struct Attribute {
    object: Py<PyAny>,
    name: Py<PyString>,
    /// None if there was no such attribute.
    value: Option<Py<PyAny>>,
}

/// Attributes of objects, and the items of lists. It holds what it has seen, so that no address is given to another.
#[pyclass(frozen, module = "ferroapi._core")]
#[derive(Debug)]
pub(crate) struct Snapshot {
    slots: Vec<Slots>,
    /// The lists that were empty, as most of a dependency's are: to look at the length of each is enough.
    empty: Vec<Py<PyList>>,
    lists: Vec<Items>,
    attributes: Vec<Attribute>,
}

impl Snapshot {
    pub(crate) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.slots.iter().try_for_each(|slots| slots.visit(visit))?;
        self.empty.iter().try_for_each(|list| visit.call(list))?;
        self.lists.iter().try_for_each(|items| items.visit(visit))?;
        self.attributes.iter().try_for_each(|attribute| {
            visit.call(&attribute.object)?;
            visit.call(&attribute.value)
        })
    }
}

#[pymethods]
impl Snapshot {
    /// Take a snapshot of these attributes and of these lists.
    #[new]
    fn new(attributes: Vec<(Bound<'_, PyAny>, Vec<Bound<'_, PyString>>)>, lists: &Bound<'_, PyList>) -> PyResult<Self> {
        let mut snapshot = Self { slots: Vec::new(), empty: Vec::new(), lists: Vec::new(), attributes: Vec::new() };
        for (object, mut names) in attributes {
            snapshot.slots.extend(Slots::of(&object, &mut names)?);
            for name in names {
                let value = object.getattr_opt(&name)?.map(Bound::unbind);
                snapshot.attributes.push(Attribute { object: object.clone().unbind(), name: name.unbind(), value });
            }
        }
        for list in lists {
            let list = list.cast_into::<PyList>()?;
            if list.is_empty() {
                snapshot.empty.push(list.unbind());
            } else {
                snapshot.lists.push(Items::of(&list));
            }
        }
        Ok(snapshot)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.visit(&visit)
    }

    /// Whether every attribute is the object that it was, and every list has the items that it had.
    #[pyo3(name = "is_current")]
    fn is_current_guarded(&self, py: Python<'_>) -> PyResult<bool> {
        guarded(|| self.is_current(py))
    }
}

impl Snapshot {
    /// Whether every attribute is the object that it was, and every list has the items that it had.
    ///
    /// # Errors
    /// Those of an attribute that is computed.
    #[inline]
    pub(crate) fn is_current(&self, py: Python<'_>) -> PyResult<bool> {
        let are_unchanged = self.slots.iter().all(Slots::are_unchanged)
            && self.empty.iter().fold(0, |length, list| length | list.bind(py).len()) == 0
            && self.lists.iter().all(|items| items.are_unchanged(py));
        if !are_unchanged {
            return Ok(false);
        }
        for Attribute { object, name, value } in &self.attributes {
            let now = object.bind(py).getattr_opt(name)?;
            let is_unchanged = match (&now, value) {
                (Some(now), Some(value)) => now.is(value),
                (now, value) => now.is_none() && value.is_none(),
            };
            if !is_unchanged {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
