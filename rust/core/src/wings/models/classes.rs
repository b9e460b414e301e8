//! How objects that are no instances of the model are read: learned once for each class and answer.
//! Only what runs no code of the application's is read, so that reading again, for pydantic, cannot be noticed.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyMapping, PyString, PyType};

use super::Model;
use super::plain::NotPlain;
use crate::class_dicts::{ClassDicts, keeps_its_class};

/// Classes that one answer may hold; more are left to pydantic.
const MOST_CLASSES: usize = 16;

/// How one attribute is read.
#[derive(Clone, Copy)]
pub(super) enum Read {
    /// As an attribute: the class does nothing of its own about it.
    Attribute,
    /// As an entry of `__dict__`, which is what the class' own way of reading it would return.
    Entry,
}

/// What an object of a class is to a model.
#[derive(Clone, Copy)]
pub(super) enum Access {
    /// An instance.
    Instance,
    /// An object with attributes that validation reads.
    Attributes,
    /// Something that only pydantic understands.
    Unknown,
}

struct Known<'model, 'py> {
    model: &'model Model,
    class: Bound<'py, PyType>,
    access: Access,
    reads: Vec<Read>,
}

/// The classes met in one answer.
#[derive(Default)]
pub(super) struct Classes<'model, 'py> {
    known: Vec<Known<'model, 'py>>,
}

impl<'model, 'py> Classes<'model, 'py> {
    /// The index of what is known about the class of `value`.
    pub(super) fn find(
        &mut self,
        model: &'model Model,
        class: Bound<'py, PyType>,
        value: &Bound<'py, PyAny>,
    ) -> Result<usize, NotPlain> {
        let known = self.known.iter().position(|known| std::ptr::eq(known.model, model) && known.class.is(&class));
        if let Some(index) = known {
            return Ok(index);
        }
        if self.known.len() >= MOST_CLASSES {
            return Err(NotPlain);
        }
        let (access, reads) = learn(model, &class, value)?;
        self.known.push(Known { model, class, access, reads });
        Ok(self.known.len() - 1)
    }

    pub(super) fn access(&self, index: usize) -> Access {
        self.known.get(index).map_or(Access::Unknown, |known| known.access)
    }

    /// How the field at `position` is read.
    #[inline]
    pub(super) fn read(&self, index: usize, position: usize) -> Option<Read> {
        self.known.get(index)?.reads.get(position).copied()
    }
}

#[cold]
#[inline(never)]
fn learn(model: &Model, class: &Bound<'_, PyType>, value: &Bound<'_, PyAny>) -> Result<(Access, Vec<Read>), NotPlain> {
    let unknown = Ok((Access::Unknown, Vec::new()));
    let py = class.py();
    let bases = class.mro();
    if bases.iter_borrowed().any(|base| base.is(&model.class)) {
        return Ok((Access::Instance, Vec::new()));
    }
    if !model.is_open {
        return unknown;
    }
    // Who says how attributes are found, or that an object is of another class, runs code of its own.
    if !keeps_its_class(class)? {
        return unknown;
    }
    let class = ClassDicts::new(class)?;
    let own_dict = class.lookup(intern!(py, "__dict__"))?;
    if own_dict.is_some_and(|found| found.get_type().name().map_or(true, |name| name != "getset_descriptor")) {
        return unknown;
    }
    let is_model = class.lookup(intern!(py, "__pydantic_complete__"))?.is_some();
    let asks_class = class.lookup(intern!(py, "__getattr__"))?.is_some();
    if (asks_class && !is_model) || !is_readable(value)? || value.is_instance(model.class.bind(py))? {
        return unknown;
    }
    let mut reads = Vec::with_capacity(model.fields.len());
    for field in model.fields.iter().map(Py::get) {
        let [source] = &*field.sources else { return unknown };
        match reading(&class, source.bind(py), asks_class)? {
            Some(read) => reads.push(read),
            None => return unknown,
        }
    }
    Ok((Access::Attributes, reads))
}

/// Whether validation reads the attributes of an object.
///
/// Source: pydantic-core behaviour, `from_attributes`: mappings are read otherwise, and objects of these modules never.
fn is_readable(value: &Bound<'_, PyAny>) -> Result<bool, NotPlain> {
    let module = value.get_type().getattr(intern!(value.py(), "__module__"))?;
    let module = module.cast_exact::<PyString>()?;
    Ok(!matches!(module.to_str()?, "builtins" | "datetime" | "collections") && value.cast::<PyMapping>().is_err())
}

/// How an attribute is read without running code, if it can be.
fn reading<'py>(class: &ClassDicts<'py>, name: &Bound<'py, PyString>, asks_class: bool) -> PyResult<Option<Read>> {
    static SLOT: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let py = name.py();
    let plain = if asks_class { Read::Entry } else { Read::Attribute };
    let Some(attribute) = class.lookup(name)? else { return Ok(Some(plain)) };
    let kind = attribute.get_type();
    if kind.is(SLOT.import(py, "types", "MemberDescriptorType")?) {
        return Ok(Some(Read::Attribute));
    }
    let kind_dicts = ClassDicts::new(&kind)?;
    let has = |method: &Bound<'py, PyString>| kind_dicts.lookup(method).map(|found| found.is_some());
    if !has(intern!(py, "__get__"))? {
        return Ok(Some(plain));
    }
    if !has(intern!(py, "__set__"))? && !has(intern!(py, "__delete__"))? {
        return Ok(Some(Read::Entry));
    }
    if kind.name()? == "InstrumentedAttribute" && is_mapped(&attribute, name)? {
        return Ok(Some(Read::Entry));
    }
    Ok(None)
}

/// Whether this is `SQLAlchemy`'s attribute of that name, which returns the entry of `__dict__` if there is one.
///
/// Source: `SQLAlchemy` behaviour, `orm.attributes.InstrumentedAttribute.__get__`.
fn is_mapped(attribute: &Bound<'_, PyAny>, name: &Bound<'_, PyString>) -> PyResult<bool> {
    let py = attribute.py();
    let modules = py.import("sys")?.getattr(intern!(py, "modules"))?.cast_into::<PyDict>()?;
    let Some(module) = modules.get_item("sqlalchemy.orm.attributes")? else { return Ok(false) };
    let reads_dict = module.getattr("instance_dict")?.get_type().is(py.import("operator")?.getattr("attrgetter")?);
    Ok(reads_dict
        && attribute.get_type().is(module.getattr("InstrumentedAttribute")?)
        && attribute.getattr("key")?.eq(name)?
        && attribute.getattr("impl")?.getattr("supports_population")?.is_truthy()?)
}
