//! Stands for pydantic's serializer where a model's JSON is known beforehand: written from the values themselves.
//! Built with the plan from `ferroapi._models.model_serializer`; any value that is not exactly as expected is left to pydantic.
//! Source: pydantic behaviour, `TypeAdapter.validate_python(from_attributes=True)` and `TypeAdapter.dump_json`.
mod build;
mod classes;
mod moment;
mod scalar;
mod visit;
mod write;

use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};
use pyo3::{PyTraverseError, PyVisit};

use write::Writer;

use crate::serialize::model::{ModelSerializer, SerializeModel, Serialized};

/// The JSON of one type.
#[derive(Debug)]
struct PlainType {
    kind: TypeKind,
    /// Whether validation returns a value of exactly this type as it is, wherever it stands.
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
    Nullable(Box<PlainType>),
    List(Box<PlainType>),
    Set(Box<PlainType>),
    FrozenSet(Box<PlainType>),
    Tuple(Box<[PlainType]>),
    /// A tuple of any length.
    Tuples(Box<PlainType>),
    /// An object whose keys are of the first type.
    Dict(Box<(PlainType, PlainType)>),
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
    fields: Box<[Field]>,
}

#[derive(Debug)]
struct Field {
    name: Py<PyString>,
    /// The keys and attributes that it is read from, the first that is there.
    sources: Box<[Py<PyString>]>,
    /// `,"key":`
    key: Box<[u8]>,
    node: PlainType,
    /// What stands for it where it is missing in a dict.
    default: Option<Py<PyAny>>,
    is_excluded: bool,
}

/// A response model, compiled.
#[derive(Debug)]
struct PlainModel {
    root: PlainType,
    /// Whether fields that are `None` are left out.
    exclude_none: bool,
}

impl SerializeModel for PlainModel {
    fn receive(&self, value: &Bound<'_, PyAny>) -> Serialized {
        let mut writer = Writer::new(self.exclude_none);
        match writer.write::<false>(&self.root, value) {
            Ok(()) => Serialized::Done(writer.out),
            Err(_) if writer.was_valid => Serialized::NotPlain,
            Err(_) => Serialized::Unvalidated,
        }
    }

    fn write(&self, value: &Bound<'_, PyAny>) -> Option<Vec<u8>> {
        let mut writer = Writer::new(self.exclude_none);
        writer.write::<true>(&self.root, value).ok().map(|()| writer.out)
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.root.visit(visit)
    }
}

/// Compile a recipe of what a model's JSON is.
///
/// # Errors
/// `ValueError`: it has an unknown word, or lacks a part.
#[pyfunction]
pub(crate) fn plain_model(recipe: build::TypeRecipe, exclude_none: bool) -> PyResult<ModelSerializer> {
    Ok(ModelSerializer::new(PlainModel { root: build::node(recipe)?, exclude_none }))
}
