//! What a serializer holds, shown to Python's garbage collector: the classes of models, and the values of enumerations.

use pyo3::{PyTraverseError, PyVisit};

use super::{Field, Model, PlainType, TypeKind};

impl PlainType {
    pub(super) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match &self.kind {
            TypeKind::Enum(members) => members.iter().try_for_each(|(member, _)| visit.call(member)),
            TypeKind::Nullable(node)
            | TypeKind::List(node)
            | TypeKind::Set(node)
            | TypeKind::FrozenSet(node)
            | TypeKind::Tuples(node) => node.visit(visit),
            TypeKind::Tuple(nodes) => nodes.iter().try_for_each(|node| node.visit(visit)),
            TypeKind::Dict(entry) => {
                entry.0.visit(visit)?;
                entry.1.visit(visit)
            }
            TypeKind::Model(model) => model.visit(visit),
            _ => Ok(()),
        }
    }
}

impl Model {
    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.class)?;
        self.fields.iter().try_for_each(|Field { node, default, .. }| {
            visit.call(default)?;
            node.visit(visit)
        })
    }
}
