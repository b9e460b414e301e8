//! What a class says, read without asking it: the dicts of a class and of its bases.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyString, PyType};

/// Whether an object of `class` cannot say that it is of another one.
pub(crate) fn keeps_its_class(class: &Bound<'_, PyType>) -> PyResult<bool> {
    let py = class.py();
    let class = ClassDicts::new(class)?;
    Ok(!class.overrides(intern!(py, "__getattribute__"))? && !class.overrides(intern!(py, "__class__"))?)
}

/// The dicts of a class and its bases, in the order in which attributes are looked up.
pub(crate) struct ClassDicts<'py>(Vec<Bound<'py, PyAny>>);

impl<'py> ClassDicts<'py> {
    pub(crate) fn new(class: &Bound<'py, PyType>) -> PyResult<Self> {
        static READ: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let py = class.py();
        // By the getter of `type` itself: a class may have an attribute of that name.
        let read = READ.get_or_try_init(py, || -> PyResult<Py<PyAny>> {
            let of_type = py.get_type::<PyType>().getattr("__dict__")?;
            Ok(of_type.get_item("__dict__")?.getattr("__get__")?.unbind())
        })?;
        let dicts = class.mro().iter_borrowed().map(|base| read.bind(py).call1((base,))).collect::<PyResult<_>>()?;
        Ok(ClassDicts(dicts))
    }

    /// What the class has under a name, nothing bound.
    pub(crate) fn lookup(&self, name: &Bound<'py, PyString>) -> PyResult<Option<Bound<'py, PyAny>>> {
        for dict in &self.0 {
            if dict.contains(name)? {
                return dict.get_item(name).map(Some);
            }
        }
        Ok(None)
    }

    /// Whether a class above `object` has a name that `object` has.
    pub(crate) fn overrides(&self, name: &Bound<'py, PyString>) -> PyResult<bool> {
        for dict in self.0.iter().rev().skip(1) {
            if dict.contains(name)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
