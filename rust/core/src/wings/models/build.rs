//! Python's description of a response model becomes a `PlainType`.

use pyo3::prelude::*;
use pyo3::types::{PyInt, PyString, PyType};

use super::scalar;
use super::{Field, Member, Model, PlainType, TypeKind};
use crate::error::Error;

/// `ferroapi._models.model_serializer.TypeRecipe`.
#[derive(FromPyObject)]
pub(crate) struct TypeRecipe {
    kind: String,
    identity: bool,
    items: Vec<TypeRecipe>,
    choices: Vec<(Py<PyAny>, Py<PyAny>)>,
    model: Option<ModelRecipe>,
}

#[derive(FromPyObject)]
struct ModelRecipe {
    model: Py<PyType>,
    keeps_instances: bool,
    is_open: bool,
    takes_dicts: bool,
    fields: Vec<FieldRecipe>,
}

#[derive(FromPyObject)]
struct FieldRecipe {
    name: Py<PyString>,
    sources: Vec<Py<PyString>>,
    key: Py<PyString>,
    node: TypeRecipe,
    has_default: bool,
    default: Py<PyAny>,
    is_excluded: bool,
}

/// Compile a recipe.
///
/// # Errors
/// `ValueError` for an unknown word, or for a type that lacks its parts.
pub(super) fn node(recipe: TypeRecipe) -> PyResult<PlainType> {
    let mut items = recipe.items.into_iter().map(node).collect::<PyResult<Vec<_>>>()?;
    let kind = match (recipe.kind.as_str(), items.len(), recipe.model) {
        ("any", 0, _) => TypeKind::Any,
        ("none", 0, _) => TypeKind::None,
        ("str", 0, _) => TypeKind::Str,
        ("int", 0, _) => TypeKind::Int,
        ("float", 0, _) => TypeKind::Float,
        ("bool", 0, _) => TypeKind::Bool,
        ("datetime", 0, _) => TypeKind::DateTime,
        ("date", 0, _) => TypeKind::Date,
        ("time", 0, _) => TypeKind::Time,
        ("uuid", 0, _) => TypeKind::Uuid,
        ("decimal", 0, _) => TypeKind::Decimal,
        ("bytes", 0, _) => TypeKind::Bytes,
        ("literal", 0, _) => TypeKind::Literal(literal(recipe.choices)?),
        ("enum", 0, _) => TypeKind::Enum(members(recipe.choices)?),
        ("tuple", _, _) => TypeKind::Tuple(items.into_boxed_slice()),
        ("model", 0, Some(recipe)) => TypeKind::Model(Box::new(model(recipe)?)),
        (word, count, _) => match (word, count, items.pop(), items.pop()) {
            ("nullable", 1, Some(item), _) => TypeKind::Nullable(Box::new(item)),
            ("list", 1, Some(item), _) => TypeKind::List(Box::new(item)),
            ("set", 1, Some(item), _) => TypeKind::Set(Box::new(item)),
            ("frozenset", 1, Some(item), _) => TypeKind::FrozenSet(Box::new(item)),
            ("tuples", 1, Some(item), _) => TypeKind::Tuples(Box::new(item)),
            ("dict", 2, Some(values), Some(keys)) => TypeKind::Dict(Box::new((keys, values))),
            _ => return Err(unknown(word)),
        },
    };
    Ok(PlainType { kind, identity: recipe.identity })
}

fn unknown(word: &str) -> PyErr {
    Error::Type { word: word.to_owned() }.into()
}

fn model(recipe: ModelRecipe) -> PyResult<Model> {
    Ok(Model {
        class: recipe.model,
        keeps_instances: recipe.keeps_instances,
        is_open: recipe.is_open,
        takes_dicts: recipe.takes_dicts,
        fields: recipe.fields.into_iter().map(field).collect::<PyResult<_>>()?,
    })
}

fn field(recipe: FieldRecipe) -> PyResult<Field> {
    let key = Python::attach(|py| -> PyResult<Box<[u8]>> {
        let mut key = vec![b','];
        wire::json::write_str(recipe.key.bind(py).to_str()?, &mut key);
        key.push(b':');
        Ok(key.into_boxed_slice())
    })?;
    Ok(Field {
        name: recipe.name,
        sources: recipe.sources.into_boxed_slice(),
        key,
        node: node(recipe.node)?,
        default: recipe.has_default.then_some(recipe.default),
        is_excluded: recipe.is_excluded,
    })
}

/// The JSON of texts and whole numbers; another value's presence is a mistake of the recipe.
fn literal(choices: Vec<(Py<PyAny>, Py<PyAny>)>) -> PyResult<Box<[Box<[u8]>]>> {
    Python::attach(|py| {
        let texts = choices.into_iter().map(|(choice, _)| {
            let choice = choice.bind(py);
            let is_plain = choice.is_exact_instance_of::<PyString>() || choice.is_exact_instance_of::<PyInt>();
            if is_plain { json(choice) } else { Err(unknown("literal")) }
        });
        texts.collect()
    })
}

fn members(choices: Vec<(Py<PyAny>, Py<PyAny>)>) -> PyResult<Box<[Member]>> {
    Python::attach(|py| {
        let members = choices.into_iter().map(|(member, value)| Ok((member, json(value.bind(py))?)));
        members.collect()
    })
}

fn json(value: &Bound<'_, PyAny>) -> PyResult<Box<[u8]>> {
    let mut out = Vec::new();
    scalar::any(value, &mut out).map_err(|_| unknown("choice"))?;
    Ok(out.into_boxed_slice())
}
