//! What a plan holds, shown to Python's garbage collector: an application and its plans hold each other.

use pyo3::{PyTraverseError, PyVisit};

use super::dependency::{BodyField, BodyShape, Node, Special};
use super::param::{Absent, Parameter};
use super::{Plan, Render};

type Visited = Result<(), PyTraverseError>;

impl Absent {
    pub(super) fn visit(&self, visit: &PyVisit<'_>) -> Visited {
        match self {
            Self::Missing => Ok(()),
            Self::Constant(object) | Self::Made(object) | Self::MadeThenValidated(object) => visit.call(object),
        }
    }
}

impl Parameter {
    fn visit(&self, visit: &PyVisit<'_>) -> Visited {
        self.absent.visit(visit)?;
        visit.call(&self.validator)?;
        visit.call(&self.field)
    }
}

impl BodyField {
    fn visit(&self, visit: &PyVisit<'_>) -> Visited {
        self.absent.visit(visit)?;
        visit.call(&self.validator)?;
        visit.call(&self.field)
    }
}

impl Special {
    pub(super) fn visit(&self, visit: &PyVisit<'_>) -> Visited {
        match self {
            Self::SecurityScopes(make) => visit.call(make),
            Self::Request | Self::BackgroundTasks | Self::Response => Ok(()),
        }
    }
}

impl Node {
    fn visit(&self, visit: &PyVisit<'_>) -> Visited {
        visit.call(&self.call)?;
        visit.call(&self.dependant)?;
        visit.call(&self.positional)?;
        self.parameters.iter().try_for_each(|parameter| parameter.visit(visit))?;
        self.specials.iter().try_for_each(|special| special.visit(visit))?;
        match &self.body {
            BodyShape::Whole(field) => field.visit(visit),
            BodyShape::Embedded(fields) => fields.iter().try_for_each(|field| field.visit(visit)),
            BodyShape::Form(fields) => fields.iter().try_for_each(|field| field.visit(visit)),
            BodyShape::None | BodyShape::Leaf => Ok(()),
        }
    }
}

impl Plan {
    /// Visit every object of the plan that could lead back to it.
    pub(super) fn visit(&self, visit: &PyVisit<'_>) -> Visited {
        visit.call(&self.returned_errors)?;
        visit.call(&self.operation)?;
        visit.call(&self.source)?;
        self.overrides.iter().try_for_each(|overrides| overrides.visit(visit))?;
        self.lookups.iter().try_for_each(|lookup| visit.call(lookup))?;
        self.variants.visit(visit)?;
        self.nodes.iter().try_for_each(|node| node.visit(visit))?;
        if let Render::Model { validate, to_json, values, serializer, .. } = &self.answer.render {
            visit.call(validate)?;
            visit.call(to_json)?;
            visit.call(serializer)?;
            values.iter().try_for_each(|value| visit.call(value))?;
        }
        Ok(())
    }
}
