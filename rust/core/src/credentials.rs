//! What a security scheme makes of a request, where that can be said without calling it.
//!
//! Source: FastAPI behaviour, `security.api_key`, `security.http`, `security.oauth2`.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyString, PyTuple, PyType};
use wire::authorization;

use crate::extract::{Collected, Found};
use crate::plan::dependency::Credentials;
use crate::plan::node::Scheme;
use crate::{ffi, names};

impl Scheme {
    /// The credentials, or `None` of Python's where there are none and `instance` is content with that.
    ///
    /// Nothing is returned for what it refuses, or Python reads in its own way.
    ///
    /// # Errors
    /// An `auto_error` that cannot be read; whatever making the credentials raises.
    pub(crate) fn credentials(
        &self,
        instance: &Bound<'_, PyAny>,
        collected: &Collected,
    ) -> PyResult<Option<Py<PyAny>>> {
        let py = instance.py();
        let Some(Some(Found::Read(value) | Found::Received(value))) = collected.get(self.slot) else {
            let refuses = instance.getattr(intern!(py, "auto_error"))?.is_truthy()?;
            return Ok((!refuses).then(|| py.None()));
        };
        let Ok(text) = value.bind(py).cast::<PyString>() else { return Ok(None) };
        let text = text.to_str()?;
        let demanded = match self.form {
            Credentials::Key => return Ok((!text.is_empty()).then(|| value.clone_ref(py))),
            Credentials::Any => None,
            Credentials::Token | Credentials::Bearer => Some("bearer"),
            Credentials::Digest => Some("digest"),
            Credentials::Basic => Some("basic"),
        };
        let (scheme, rest) = authorization::split(text);
        if demanded.is_some_and(|demanded| !scheme.eq_ignore_ascii_case(demanded)) {
            return Ok(None);
        }
        match self.form {
            Credentials::Token => Ok(Some(PyString::new(py, rest).into_any().unbind())),
            Credentials::Basic => {
                static FIELDS: PyOnceLock<Py<PyTuple>> = PyOnceLock::new();
                let Some(decoded) = authorization::basic(rest) else { return Ok(None) };
                let Some((user, password)) = decoded.split_once(':') else { return Ok(None) };
                let fields = (&FIELDS, [intern!(py, "username"), intern!(py, "password")]);
                made(names::basic_credentials(py)?, fields, [user, password]).map(Some)
            }
            _ if scheme.is_empty() || rest.is_empty() => Ok(None),
            _ => {
                static FIELDS: PyOnceLock<Py<PyTuple>> = PyOnceLock::new();
                let fields = (&FIELDS, [intern!(py, "scheme"), intern!(py, "credentials")]);
                made(names::authorization_credentials(py)?, fields, [scheme, rest]).map(Some)
            }
        }
    }
}

/// The model of these fields, made by a call of its class; the names of the fields are kept in the cell beside them.
fn made(
    class: &Bound<'_, PyType>,
    (cell, fields): (&PyOnceLock<Py<PyTuple>>, [&Bound<'_, PyString>; 2]),
    values: [&str; 2],
) -> PyResult<Py<PyAny>> {
    let py = class.py();
    let fields = cell.get_or_try_init(py, || PyTuple::new(py, fields).map(Bound::unbind))?;
    let values = values.map(|value| PyString::new(py, value).into_any().unbind());
    ffi::vectorcall(class, &values, Some(fields.bind(py))).map(Bound::unbind)
}
