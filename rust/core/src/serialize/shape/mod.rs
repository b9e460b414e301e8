//! A response model whose JSON is known beforehand: written from the values themselves, without pydantic.
//! Built with the plan from `ferroapi._models.model_serializer`; any value that is not exactly as expected is left to pydantic.
//! Source: pydantic behaviour, `TypeAdapter.validate_python(from_attributes=True)` and `TypeAdapter.dump_json`.
mod build;
mod classes;
mod moment;
mod scalar;
mod visit;
mod write;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyType};
use pyo3::{PyTraverseError, PyVisit};

use crate::error::guarded;
pub(crate) use classes::keeps_its_class;
use write::Writer;

/// The JSON of one type.
#[derive(Debug)]
struct Node {
    kind: Kind,
    /// Whether validation returns a value of exactly this type as it is, wherever it stands.
    identity: bool,
}

#[derive(Debug)]
enum Kind {
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
    Nullable(Box<Node>),
    List(Box<Node>),
    Set(Box<Node>),
    FrozenSet(Box<Node>),
    Tuple(Box<[Node]>),
    /// A tuple of any length.
    Tuples(Box<Node>),
    /// An object whose keys are of the first type.
    Dict(Box<(Node, Node)>),
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
    node: Node,
    /// What stands for it where it is missing in a dict.
    default: Option<Py<PyAny>>,
    is_excluded: bool,
}

/// What an endpoint's result was found to be.
pub(crate) enum Shaped {
    /// Its JSON.
    Written(Vec<u8>),
    /// Something that must be validated first.
    Unvalidated,
    /// Something that only pydantic writes.
    Unexpected,
}

/// A response model, compiled.
#[pyclass(frozen, module = "ferroapi._core")]
#[derive(Debug)]
pub(crate) struct Shape {
    root: Node,
    /// Whether fields that are `None` are left out.
    exclude_none: bool,
}

impl Shape {
    /// Validate and write what the endpoint returned, where validation returns it as it is.
    pub(crate) fn receive(&self, value: &Bound<'_, PyAny>) -> Shaped {
        let mut writer = Writer::new(self.exclude_none);
        match writer.write::<false>(&self.root, value) {
            Ok(()) => Shaped::Written(writer.out),
            Err(_) if writer.was_valid => Shaped::Unexpected,
            Err(_) => Shaped::Unvalidated,
        }
    }

    /// Write a value that was validated; `None` leaves it to pydantic.
    pub(crate) fn write(&self, value: &Bound<'_, PyAny>) -> Option<Vec<u8>> {
        let mut writer = Writer::new(self.exclude_none);
        writer.write::<true>(&self.root, value).ok().map(|()| writer.out)
    }
}

#[pymethods]
impl Shape {
    /// Compile a recipe.
    #[new]
    fn new(recipe: build::NodeRecipe, exclude_none: bool) -> PyResult<Self> {
        Ok(Self { root: build::node(recipe)?, exclude_none })
    }

    /// The JSON of an endpoint's result that needs no pydantic, or `None`.
    #[pyo3(name = "receive")]
    fn receive_bytes<'py>(&self, value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        guarded(|| match self.receive(value) {
            Shaped::Written(text) => Ok(Some(PyBytes::new(value.py(), &text))),
            Shaped::Unvalidated | Shaped::Unexpected => Ok(None),
        })
    }

    /// The JSON of a validated value that needs no pydantic, or `None`.
    #[pyo3(name = "write")]
    fn write_bytes<'py>(&self, value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        guarded(|| Ok(self.write(value).map(|text| PyBytes::new(value.py(), &text))))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.root.visit(&visit)
    }
}
