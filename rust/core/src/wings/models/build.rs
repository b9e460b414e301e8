//! What Python says of a response model: each type is checked where it is made.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyString, PyType};
use pyo3::{PyTraverseError, PyVisit};

use super::{JsonField, JsonType, Model, TypeKind, scalar};
use crate::error::guarded;

/// A type that holds no others.
#[pyclass(frozen, eq, hash, from_py_object, rename_all = "SCREAMING_SNAKE_CASE", module = "ferroapi._core")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum PlainType {
    Any,
    None,
    Str,
    Int,
    Float,
    Bool,
    Datetime,
    Date,
    Time,
    Uuid,
    Decimal,
    Bytes,
}

/// A type that holds others.
#[pyclass(frozen, eq, hash, from_py_object, rename_all = "SCREAMING_SNAKE_CASE", module = "ferroapi._core")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ContainerType {
    Nullable,
    List,
    Set,
    Frozenset,
    /// With a type for each item.
    Tuple,
    /// With one type for all items.
    Tuples,
    /// With a type for keys and one for values.
    Dict,
}

#[pymethods]
impl JsonType {
    /// A type that holds no others.
    #[staticmethod]
    #[pyo3(signature = (kind, *, identity))]
    fn plain(kind: PlainType, identity: bool) -> Self {
        let kind = match kind {
            PlainType::Any => TypeKind::Any,
            PlainType::None => TypeKind::None,
            PlainType::Str => TypeKind::Str,
            PlainType::Int => TypeKind::Int,
            PlainType::Float => TypeKind::Float,
            PlainType::Bool => TypeKind::Bool,
            PlainType::Datetime => TypeKind::DateTime,
            PlainType::Date => TypeKind::Date,
            PlainType::Time => TypeKind::Time,
            PlainType::Uuid => TypeKind::Uuid,
            PlainType::Decimal => TypeKind::Decimal,
            PlainType::Bytes => TypeKind::Bytes,
        };
        Self { kind, identity }
    }

    /// Texts and whole numbers; anything else among the choices is a mistake.
    #[staticmethod]
    #[pyo3(signature = (choices, *, identity))]
    fn literal(choices: Vec<Bound<'_, PyAny>>, identity: bool) -> PyResult<Self> {
        let texts = choices.into_iter().map(|choice| {
            let is_plain = choice.is_exact_instance_of::<PyString>() || choice.is_exact_instance_of::<PyInt>();
            if is_plain { json(&choice) } else { Err(PyValueError::new_err("a literal is a text or a whole number")) }
        });
        guarded(|| Ok(Self { kind: TypeKind::Literal(texts.collect::<PyResult<_>>()?), identity }))
    }

    /// The members of an enumeration, each with its value.
    #[staticmethod]
    #[pyo3(signature = (members, *, identity))]
    fn enumeration(members: Vec<(Py<PyAny>, Bound<'_, PyAny>)>, identity: bool) -> PyResult<Self> {
        let members = members.into_iter().map(|(member, value)| Ok((member, json(&value)?)));
        guarded(|| Ok(Self { kind: TypeKind::Enum(members.collect::<PyResult<_>>()?), identity }))
    }

    /// A type that holds others.
    #[staticmethod]
    #[pyo3(signature = (kind, items, *, identity))]
    fn container(kind: ContainerType, items: Vec<Py<Self>>, identity: bool) -> PyResult<Self> {
        if kind == ContainerType::Tuple {
            return Ok(Self { kind: TypeKind::Tuple(items.into_boxed_slice()), identity });
        }
        let mut items = items.into_iter();
        let kind = guarded(|| match (kind, items.next(), items.next(), items.next()) {
            (ContainerType::Nullable, Some(item), None, None) => Ok(TypeKind::Nullable(item)),
            (ContainerType::List, Some(item), None, None) => Ok(TypeKind::List(item)),
            (ContainerType::Set, Some(item), None, None) => Ok(TypeKind::Set(item)),
            (ContainerType::Frozenset, Some(item), None, None) => Ok(TypeKind::FrozenSet(item)),
            (ContainerType::Tuples, Some(item), None, None) => Ok(TypeKind::Tuples(item)),
            (ContainerType::Dict, Some(keys), Some(values), None) => Ok(TypeKind::Dict(keys, values)),
            _ => Err(PyValueError::new_err("a dict has two types inside, another container one")),
        })?;
        Ok(Self { kind, identity })
    }

    /// A model, which validation keeps as it is if one of the three is true: of instances, of other objects, of dicts.
    #[staticmethod]
    #[pyo3(signature = (class_, fields, *, keeps_instances, is_open, takes_dicts, identity))]
    #[expect(clippy::fn_params_excessive_bools, reason = "they are keywords")]
    fn model(
        class_: Py<PyType>,
        fields: Vec<Py<JsonField>>,
        keeps_instances: bool,
        is_open: bool,
        takes_dicts: bool,
        identity: bool,
    ) -> Self {
        let fields = fields.into_boxed_slice();
        Self {
            kind: TypeKind::Model(Box::new(Model { class: class_, keeps_instances, is_open, takes_dicts, fields })),
            identity,
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match &self.kind {
            TypeKind::Enum(members) => members.iter().try_for_each(|(member, _)| visit.call(member)),
            TypeKind::Nullable(item)
            | TypeKind::List(item)
            | TypeKind::Set(item)
            | TypeKind::FrozenSet(item)
            | TypeKind::Tuples(item) => visit.call(item),
            TypeKind::Tuple(items) => items.iter().try_for_each(|item| visit.call(item)),
            TypeKind::Dict(keys, values) => [keys, values].into_iter().try_for_each(|each| visit.call(each)),
            TypeKind::Model(model) => {
                visit.call(&model.class)?;
                model.fields.iter().try_for_each(|field| visit.call(field))
            }
            _ => Ok(()),
        }
    }
}

#[pymethods]
impl JsonField {
    /// A field that is read from the first of its `sources` and written under `key`; `default` is a tuple with that.
    #[new]
    #[pyo3(signature = (*, name, sources, key, kind, default, is_excluded))]
    fn new(
        name: Py<PyString>,
        sources: Vec<Py<PyString>>,
        key: &str,
        kind: Py<JsonType>,
        default: Option<(Py<PyAny>,)>,
        is_excluded: bool,
    ) -> Self {
        let mut start = vec![b','];
        wire::json::write_str(key, &mut start);
        start.push(b':');
        Self {
            name,
            sources: sources.into_boxed_slice(),
            key: start.into_boxed_slice(),
            kind,
            default: default.map(|(default,)| default),
            is_excluded,
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.kind)?;
        visit.call(&self.default)
    }
}

fn json(value: &Bound<'_, PyAny>) -> PyResult<Box<[u8]>> {
    let mut out = Vec::new();
    scalar::any(value, &mut out).map_err(|_| PyValueError::new_err("a choice is a plain value"))?;
    Ok(out.into_boxed_slice())
}
