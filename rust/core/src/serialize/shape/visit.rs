//! What a shape holds, shown to Python's garbage collector: the classes of models, and the values of enumerations.

use pyo3::{PyTraverseError, PyVisit};

use super::{Field, Kind, Model, Node};

impl Node {
    pub(super) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match &self.kind {
            Kind::Enum(members) => members.iter().try_for_each(|(member, _)| visit.call(member)),
            Kind::Nullable(node) | Kind::List(node) | Kind::Set(node) | Kind::FrozenSet(node) | Kind::Tuples(node) => {
                node.visit(visit)
            }
            Kind::Tuple(nodes) => nodes.iter().try_for_each(|node| node.visit(visit)),
            Kind::Dict(entry) => {
                entry.0.visit(visit)?;
                entry.1.visit(visit)
            }
            Kind::Model(model) => model.visit(visit),
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
