//! Stands for pydantic's serializer where a model's JSON is known beforehand: written from the values themselves.
//! Built with the plan from `ferroapi._models.model_serializer`; any value that is not exactly as expected is left to pydantic.
//! Source: pydantic behaviour, `TypeAdapter.validate_python(from_attributes=True)` and `TypeAdapter.dump_json`.
mod build;
mod classes;
mod moment;
mod plain;
mod scalar;
mod write;

use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};
use pyo3::{PyTraverseError, PyVisit};

pub(crate) use build::{ContainerType, PlainType};
use write::Writer;

use crate::serialize::model::{ModelSerializer, SerializeModel, Serialized};

/// The JSON of one type.
#[pyclass(frozen, module = "ferroapi._core")]
#[derive(Debug)]
pub(crate) struct JsonType {
    kind: TypeKind,
    /// Whether validation returns a value of exactly this type as it is, wherever it stands.
    #[pyo3(get)]
    identity: bool,
}

#[derive(Debug)]
enum TypeKind {
    Any,
    None,
    Str,
    Int,
    Float,
    Bool,
    DateTime,
    Date,
    Time,
    Uuid,
    Decimal,
    Bytes,
    /// The texts and the whole numbers that are allowed.
    Literal(Box<[Box<[u8]>]>),
    Enum(Box<[Member]>),
    Nullable(Py<JsonType>),
    List(Py<JsonType>),
    Set(Py<JsonType>),
    FrozenSet(Py<JsonType>),
    Tuple(Box<[Py<JsonType>]>),
    /// A tuple of any length.
    Tuples(Py<JsonType>),
    /// An object, with the types of its keys and of its values.
    Dict(Py<JsonType>, Py<JsonType>),
    Model(Box<Model>),
}

/// A member of an enumeration, and the JSON of its value.
type Member = (Py<PyAny>, Box<[u8]>);

/// The JSON of a model.
#[derive(Debug)]
struct Model {
    class: Py<PyType>,
    /// Whether validation returns an instance as it is.
    keeps_instances: bool,
    /// Whether making an instance of an object's attributes does nothing but collect the fields' values.
    is_open: bool,
    /// Whether the same is true of a dict.
    takes_dicts: bool,
    fields: Box<[Py<JsonField>]>,
}

/// A field of a model.
#[pyclass(frozen, module = "ferroapi._core")]
#[derive(Debug)]
pub(crate) struct JsonField {
    name: Py<PyString>,
    /// The keys and attributes that it is read from, the first that is there.
    sources: Box<[Py<PyString>]>,
    /// `,"key":`
    key: Box<[u8]>,
    kind: Py<JsonType>,
    /// What stands for it where it is missing in a dict.
    default: Option<Py<PyAny>>,
    is_excluded: bool,
}

/// A response model, compiled.
#[derive(Debug)]
struct PlainModel {
    root: Py<JsonType>,
    /// Whether fields that are `None` are left out.
    exclude_none: bool,
}

impl SerializeModel for PlainModel {
    fn receive(&self, value: &Bound<'_, PyAny>) -> Serialized {
        let mut writer = Writer::new(self.exclude_none);
        match writer.write::<false>(self.root.get(), value) {
            Ok(()) => Serialized::Done(writer.out),
            Err(_) if writer.was_valid => Serialized::NotPlain,
            Err(_) => Serialized::Unvalidated,
        }
    }

    fn write(&self, value: &Bound<'_, PyAny>) -> Option<Vec<u8>> {
        let mut writer = Writer::new(self.exclude_none);
        writer.write::<true>(self.root.get(), value).ok().map(|()| writer.out)
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.root)
    }
}

/// The serializer of values of a type.
#[pyfunction]
pub(crate) fn plain_model(root: Py<JsonType>, exclude_none: bool) -> ModelSerializer {
    ModelSerializer::new(PlainModel { root, exclude_none })
}
