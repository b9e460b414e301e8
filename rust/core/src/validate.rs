//! Hand a value to pydantic-core's validator; collect its errors under the parameter's `loc`.
//!
//! Source: FastAPI behaviour, `dependencies.utils.request_params_to_args` and `_compat.ModelField.validate`.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyList, PyTuple};
use pyo3::{PyTraverseError, PyVisit};

use crate::plan::declared::Parameter;
use crate::plan::param::Absent;
use crate::{ffi, names};

/// The errors of one request, in FastAPI's order; no list is made while there are none.
#[derive(Default)]
pub(crate) struct Errors(Option<Py<PyList>>);

impl Errors {
    pub(crate) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.0)
    }

    pub(crate) fn count(&self, py: Python<'_>) -> usize {
        self.0.as_ref().map_or(0, |list| list.bind(py).len())
    }

    /// Add the errors of `more`, a list.
    pub(crate) fn extend(&mut self, more: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = more.py();
        let list = self.0.get_or_insert_with(|| PyList::empty(py).unbind());
        list.bind(py).call_method1(intern!(py, "extend"), (more,)).map(drop)
    }

    /// The list, as exceptions carry it.
    pub(crate) fn list<'py>(&self, py: Python<'py>) -> Bound<'py, PyList> {
        self.0.as_ref().map_or_else(|| PyList::empty(py), |list| list.bind(py).clone())
    }
}

/// A value, or nothing because its errors were added.
pub(crate) type Validated = PyResult<Option<Py<PyAny>>>;

/// `validator(value, from_attributes=True)`, as every `ModelField` is validated.
pub(crate) fn call_validator<'py>(validator: &Bound<'py, PyAny>, value: Py<PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = validator.py();
    let yes = true.into_pyobject(py)?.to_owned().into_any().unbind();
    ffi::vectorcall(validator, &[value, yes], Some(keywords(py)?))
}

fn keywords(py: Python<'_>) -> PyResult<&Bound<'_, PyTuple>> {
    static KEYWORDS: PyOnceLock<Py<PyTuple>> = PyOnceLock::new();
    let keywords =
        KEYWORDS.get_or_try_init(py, || PyTuple::new(py, [intern!(py, "from_attributes")]).map(Bound::unbind))?;
    Ok(keywords.bind(py))
}

/// The same by `run` of a context, in which it is called.
pub(crate) fn call_validator_in<'py>(
    run: &Bound<'py, PyAny>,
    validator: &Bound<'py, PyAny>,
    value: Py<PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let keywords = keywords(run.py())?;
    let yes = true.into_pyobject(run.py())?.to_owned().into_any().unbind();
    ffi::vectorcall(run, &[validator.clone().unbind(), value, yes], Some(keywords))
}

/// Validate a received value.
pub(crate) fn received(
    py: Python<'_>,
    parameter: &Parameter,
    value: &Py<PyAny>,
    location: &Py<PyTuple>,
    errors: &mut Errors,
) -> Validated {
    match call_validator(parameter.validate.bind(py), value.clone_ref(py)) {
        Ok(value) => Ok(Some(value.unbind())),
        Err(error) => refused(py, error, location, errors),
    }
}

/// What an absent value is.
pub(crate) fn absent(py: Python<'_>, parameter: &Parameter, location: &Py<PyTuple>, errors: &mut Errors) -> Validated {
    match &parameter.absent.get().0 {
        Absent::Constant(value) => Ok(Some(value.clone_ref(py))),
        Absent::Made(make) => make.call0(py).map(Some),
        Absent::MadeThenValidated(make) => received(py, parameter, &make.call0(py)?, location, errors),
        Absent::Missing => {
            errors.extend(names::missing_errors(py)?.call1((location,))?.as_any())?;
            Ok(None)
        }
    }
}

#[cold]
#[inline(never)]
fn refused(py: Python<'_>, error: PyErr, location: &Py<PyTuple>, errors: &mut Errors) -> Validated {
    if !error.is_instance(py, names::validation_error(py)?) {
        return Err(error);
    }
    let listed = names::field_errors(py)?.call1((error.into_value(py), location))?;
    errors.extend(&listed)?;
    Ok(None)
}
