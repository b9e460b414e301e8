//! One parameter of a path operation or dependency: where its text comes from, its shape, its default, its validator.

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use smallvec::SmallVec;

/// What stands for a parameter that the request does not carry.
#[derive(Debug)]
pub(crate) enum Absent {
    /// An error: the parameter is required.
    Missing,
    /// This immutable object, as it is.
    Constant(Py<PyAny>),
    /// The result of this call, made anew for each request.
    Made(Py<PyAny>),
    /// The result of this call, which is then validated like a received value.
    MadeThenValidated(Py<PyAny>),
}

impl Absent {
    pub(super) fn clone_ref(&self, py: Python<'_>) -> Self {
        match self {
            Self::Missing => Self::Missing,
            Self::Constant(value) => Self::Constant(value.clone_ref(py)),
            Self::Made(make) => Self::Made(make.clone_ref(py)),
            Self::MadeThenValidated(make) => Self::MadeThenValidated(make.clone_ref(py)),
        }
    }
}

/// What pydantic makes of most texts, where that is known without asking it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scalar {
    /// The text itself, whatever it is.
    Text,
    /// The truth value that it stands for.
    Truth,
    /// The integer that it stands for, from `least` to `most`.
    Integer { least: i64, most: i64 },
    /// The number that it stands for, likewise.
    Number { least: f64, most: f64 },
}

/// One parameter.
#[derive(Debug)]
pub(crate) struct Parameter {
    /// The places of its aliases among the plan's collected values, preferred first.
    pub(crate) slots: SmallVec<[usize; 1]>,
    /// The `loc` of its errors, for each alias.
    pub(crate) locations: SmallVec<[Py<PyTuple>; 1]>,
    /// What it is when absent.
    pub(crate) absent: Absent,
    /// `SchemaValidator.validate_python`, bound: makes the argument of what was not read already.
    pub(crate) validator: Py<PyAny>,
    /// The `ModelField`, for the error path.
    pub(crate) field: Py<PyAny>,
}
