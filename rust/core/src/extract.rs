//! One pass over path, query, headers and cookies: the text of every parameter that the plan's nodes ask for.
//!
//! Source: Starlette's `QueryParams` (last wins), `Headers` (first wins) and `HTTPConnection.cookies` (last wins).

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString};
use pyo3::{PyTraverseError, PyVisit};
use smallvec::SmallVec;
use wire::query::{Quoted, QuotedPair};
use wire::scalar;

use crate::ffi;
use crate::plan::param::Scalar;
use crate::plan::{Kept, Key, Plan};
use crate::scope::Fields;

/// A collected value.
#[derive(Debug)]
pub(crate) enum Found {
    /// As it was sent.
    Received(Py<PyAny>),
    /// What it stands for, as pydantic would say.
    Read(Py<PyAny>),
}

impl Found {
    pub(crate) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let (Self::Received(object) | Self::Read(object)) = self;
        visit.call(object)
    }
}

/// The collected values, by slot; `None` where the request has none.
pub(crate) type Collected = SmallVec<[Option<Found>; 8]>;

/// Collect what `plan` asks for, and tell whether all headers were of the types that servers use: else Python has to read
/// them.
pub(crate) fn collect(
    py: Python<'_>,
    plan: &Plan,
    fields: &Fields<'_, '_>,
    path_params: Option<&Bound<'_, PyDict>>,
    collected: &mut Collected,
) -> PyResult<bool> {
    if let Some(path_params) = path_params {
        path(&plan.keys.path, path_params, collected)?;
    }
    if !plan.keys.query.is_empty() {
        query(py, &plan.keys.query, fields.query_string(), collected)?;
    }
    Ok((plan.keys.header.is_empty() && plan.keys.cookie.is_empty()) || headers(py, plan, fields, collected)?)
}

/// The slots before anything is collected.
pub(crate) fn nothing(plan: &Plan) -> Collected {
    std::iter::repeat_with(|| None).take(plan.keys.count).collect()
}

/// What `text` stands for, unless pydantic has to say so: it is of another form, out of bounds, or text for its own sake.
#[inline]
fn read(py: Python<'_>, scalar: Scalar, text: &[u8]) -> Option<Py<PyAny>> {
    Some(match scalar {
        Scalar::Text => return None,
        Scalar::Truth => PyBool::new(py, scalar::truth(text)?).to_owned().into_any().unbind(),
        Scalar::Integer { least, most } => {
            let integer = scalar::integer(text).filter(|integer| (least..=most).contains(integer))?;
            PyInt::new(py, integer).into_any().unbind()
        }
        Scalar::Number { least, most } => {
            let number = scalar::number(text).filter(|number| (least..=most).contains(number))?;
            PyFloat::new(py, number).into_any().unbind()
        }
    })
}

/// Keep a text that is sent as `raw`; it is made only if it is wanted itself.
#[inline]
fn keep<'py, T>(
    collected: &mut Collected,
    key: &Key<T>,
    raw: &[u8],
    (py, text): (Python<'py>, impl FnOnce() -> PyResult<Bound<'py, PyString>>),
) -> PyResult<()> {
    match key.kept {
        Kept::Scalar(Scalar::Text) => put(collected, key.slot, Found::Read(text()?.into_any().unbind())),
        Kept::Scalar(scalar) => match read(py, scalar, raw) {
            Some(value) => put(collected, key.slot, Found::Read(value)),
            None => put(collected, key.slot, Found::Received(text()?.into_any().unbind())),
        },
        Kept::One | Kept::All => return keep_object(collected, key, text()?.into_any()),
    }
    Ok(())
}

/// Keep what may be no text: the value of a path's convertor, a file.
fn keep_object<T>(collected: &mut Collected, key: &Key<T>, value: Bound<'_, PyAny>) -> PyResult<()> {
    let py = value.py();
    match (key.kept, value.cast_exact::<PyString>()) {
        (Kept::All, _) => match collected.get_mut(key.slot) {
            Some(Some(Found::Received(list))) => list.bind(py).cast::<PyList>()?.append(value)?,
            _ => put(collected, key.slot, Found::Received(PyList::new(py, [value])?.into_any().unbind())),
        },
        (Kept::Scalar(scalar), Ok(text)) => {
            let read = match scalar {
                Scalar::Text => Some(value.clone().unbind()),
                // A lone surrogate stands for nothing.
                _ => text.to_str().ok().and_then(|text| read(py, scalar, text.as_bytes())),
            };
            put(collected, key.slot, read.map_or_else(|| Found::Received(value.unbind()), Found::Read));
        }
        _ => put(collected, key.slot, Found::Received(value.unbind())),
    }
    Ok(())
}

fn put(collected: &mut Collected, slot: usize, found: Found) {
    if let Some(place) = collected.get_mut(slot) {
        *place = Some(found);
    }
}

/// The text of a name or value in a query or form.
pub(crate) fn text<'py>(py: Python<'py>, quoted: Quoted<'_>) -> PyResult<Bound<'py, PyString>> {
    match quoted.plain() {
        Some(plain) => ffi::latin_1(py, plain),
        None => Ok(PyString::new(py, &quoted.decode())),
    }
}

/// The keys of this name.
fn named<'k>(keys: &'k [Key<String>], name: &[u8]) -> impl Iterator<Item = &'k Key<String>> {
    keys.iter().filter(move |key| key.text.as_bytes() == name)
}

fn path(keys: &[Key<Py<PyString>>], params: &Bound<'_, PyDict>, collected: &mut Collected) -> PyResult<()> {
    for key in keys {
        if let Some(value) = params.get_item(key.text.bind(params.py()))? {
            keep_object(collected, key, value)?;
        }
    }
    Ok(())
}

fn query(py: Python<'_>, keys: &[Key<String>], query_string: &[u8], collected: &mut Collected) -> PyResult<()> {
    for QuotedPair { name, value } in wire::query::parts(query_string) {
        for key in named(keys, &name.bytes()) {
            keep(collected, key, value.raw, (py, || text(py, value)))?;
        }
    }
    Ok(())
}

/// Whether all that was looked at are headers as servers have them.
fn headers(py: Python<'_>, plan: &Plan, received: &Fields<'_, '_>, collected: &mut Collected) -> PyResult<bool> {
    // Of a name that is kept once the first header counts, so that what follows the last of them matters no more.
    let has_lists = plan.keys.header.iter().any(|key| key.kept == Kept::All);
    let mut wanted = plan.keys.header.len();
    received.each_header(|name, value| {
        for key in plan.keys.header.iter().filter(|key| key.text == name) {
            if key.kept == Kept::All {
                keep_object(collected, key, ffi::latin_1(py, value)?.into_any())?;
            } else if collected.get(key.slot).is_some_and(Option::is_none) {
                keep(collected, key, value, (py, || ffi::latin_1(py, value)))?;
                wanted -= 1;
            }
        }
        if name == b"cookie" && !plan.keys.cookie.is_empty() {
            cookies(py, &plan.keys.cookie, value, collected)?;
        }
        Ok(wanted > 0 || has_lists || !plan.keys.cookie.is_empty())
    })
}

fn cookies(py: Python<'_>, keys: &[Key<String>], header: &[u8], collected: &mut Collected) -> PyResult<()> {
    for (name, value) in wire::cookie::pairs(header) {
        for key in named(keys, name.as_bytes()) {
            keep(collected, key, value.as_bytes(), (py, || Ok(PyString::new(py, &value))))?;
        }
    }
    Ok(())
}

/// Collect the fields of a url-encoded form.
///
/// An empty field counts as absent, the last of several is the one.
///
/// # Errors
/// The limit that the form exceeds, inside; an exception of Python's, outside.
pub(crate) fn form(
    py: Python<'_>,
    plan: &Plan,
    body: &[u8],
    collected: &mut Collected,
) -> PyResult<Result<(), wire::form::LimitError>> {
    for part in wire::form::pairs(body, FORM_LIMITS) {
        let QuotedPair { name, value } = match part {
            Ok(part) => part,
            Err(limit) => return Ok(Err(limit)),
        };
        for key in named(&plan.keys.form, &name.bytes()) {
            if key.kept == Kept::All || !value.raw.is_empty() {
                keep(collected, key, value.raw, (py, || text(py, value)))?;
            } else if let Some(place) = collected.get_mut(key.slot) {
                *place = None;
            }
        }
    }
    Ok(Ok(()))
}

/// Collect the fields and files of a form from its items, `(name, text or file)`.
///
/// An empty field counts as absent, and so does a file that has neither a name nor content; the last of several is the one.
///
/// Source: FastAPI behaviour, `dependencies.utils._get_multidict_value`.
pub(crate) fn form_items(plan: &Plan, items: &Bound<'_, PyAny>, collected: &mut Collected) -> PyResult<()> {
    for item in items.try_iter()? {
        let (name, value): (Bound<'_, PyString>, Bound<'_, PyAny>) = item?.extract()?;
        for key in named(&plan.keys.form, name.to_string_lossy().as_bytes()) {
            let many = key.kept == Kept::All;
            let is_blank = match value.cast::<PyString>() {
                Ok(text) => !many && text.len()? == 0,
                Err(_) => is_empty_file(&value)?,
            };
            if !is_blank {
                keep_object(collected, key, value.clone())?;
            } else if let (false, Some(place)) = (many, collected.get_mut(key.slot)) {
                *place = None;
            }
        }
    }
    Ok(())
}

/// What a browser sends for a file input that was left blank.
fn is_empty_file(file: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = file.py();
    Ok(file.getattr(intern!(py, "filename"))?.eq("")? && file.getattr(intern!(py, "size"))?.eq(0)?)
}

/// The limits of a form that nobody gave others. Source: the defaults of Starlette's `Request.form`.
const FORM_LIMITS: wire::form::Limits = wire::form::Limits { fields: 1000, field_size: 1024 * 1024 };
