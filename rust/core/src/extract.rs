//! One pass over path, query, headers and cookies: the text of every parameter that the plan's nodes ask for.
//!
//! Source: Starlette's `QueryParams` (last wins), `Headers` (first wins) and `HTTPConnection.cookies` (last wins).

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};
use smallvec::SmallVec;

use crate::plan::{Key, Plan};
use crate::scope::Scope;

/// The collected values, by slot; `None` where the request has none.
pub(crate) type Collected = SmallVec<[Option<Py<PyAny>>; 8]>;

/// Collect what `plan` asks for.
///
/// # Errors
/// A scope that is not as ASGI says.
pub(crate) fn collect<'py>(
    plan: &Plan,
    scope: Scope<'_, 'py>,
    path_params: Option<&Bound<'py, PyDict>>,
) -> PyResult<Collected> {
    let mut collected: Collected = std::iter::repeat_with(|| None).take(plan.keys.count).collect();
    if let Some(path_params) = path_params {
        path(&plan.keys.path, path_params, &mut collected)?;
    }
    if !plan.keys.query.is_empty() {
        query(&plan.keys.query, scope, &mut collected)?;
    }
    if !plan.keys.header.is_empty() || !plan.keys.cookie.is_empty() {
        headers(plan, scope, &mut collected)?;
    }
    Ok(collected)
}

/// Put `value` where its slot says: alone, or behind the earlier ones.
fn keep(collected: &mut Collected, slot: usize, many: bool, value: Bound<'_, PyAny>) -> PyResult<()> {
    let py = value.py();
    let Some(place) = collected.get_mut(slot) else { return Ok(()) };
    if !many {
        *place = Some(value.unbind());
    } else if let Some(list) = place {
        list.bind(py).cast::<PyList>()?.append(value)?;
    } else {
        *place = Some(PyList::new(py, [value])?.into_any().unbind());
    }
    Ok(())
}

fn path(keys: &[Key<Py<PyString>>], params: &Bound<'_, PyDict>, collected: &mut Collected) -> PyResult<()> {
    for key in keys {
        if let Some(value) = params.get_item(key.text.bind(params.py()))? {
            keep(collected, key.slot, false, value)?;
        }
    }
    Ok(())
}

fn query(keys: &[Key<String>], scope: Scope<'_, '_>, collected: &mut Collected) -> PyResult<()> {
    let py = scope.0.py();
    let Some(query_string) = scope.query_string()? else { return Ok(()) };
    for (name, value) in wire::query::pairs(query_string.as_bytes()) {
        let mut text = None;
        for key in keys.iter().filter(|key| key.text == name) {
            let text = text.get_or_insert_with(|| PyString::new(py, &value));
            keep(collected, key.slot, key.many, text.clone().into_any())?;
        }
    }
    Ok(())
}

fn headers(plan: &Plan, scope: Scope<'_, '_>, collected: &mut Collected) -> PyResult<()> {
    scope.each_header(|name, value| {
        for key in plan.keys.header.iter().filter(|key| key.text == name) {
            let first = collected.get(key.slot).is_some_and(Option::is_none);
            if key.many || first {
                let text = wire::latin1::decode(value.as_bytes());
                keep(collected, key.slot, key.many, PyString::new(value.py(), &text).into_any())?;
            }
        }
        if name == b"cookie" && !plan.keys.cookie.is_empty() {
            cookies(&plan.keys.cookie, value, collected)?;
        }
        Ok(true)
    })
}

fn cookies(keys: &[Key<String>], header: &Bound<'_, PyBytes>, collected: &mut Collected) -> PyResult<()> {
    let py = header.py();
    for (name, value) in wire::cookie::pairs(header.as_bytes()) {
        for key in keys.iter().filter(|key| key.text == name) {
            keep(collected, key.slot, false, PyString::new(py, &value).into_any())?;
        }
    }
    Ok(())
}

/// Collect the fields of a url-encoded form, and give all its pairs in order.
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
) -> PyResult<Result<Vec<(String, String)>, wire::form::LimitError>> {
    let mut pairs = Vec::new();
    for pair in wire::form::pairs(body, FORM_LIMITS) {
        let (name, value) = match pair {
            Ok(pair) => pair,
            Err(limit) => return Ok(Err(limit)),
        };
        for key in plan.keys.form.iter().filter(|key| key.text == name) {
            if key.many || !value.is_empty() {
                keep(collected, key.slot, key.many, PyString::new(py, &value).into_any())?;
            } else if let Some(place) = collected.get_mut(key.slot) {
                *place = None;
            }
        }
        pairs.push((name.into_owned(), value.into_owned()));
    }
    Ok(Ok(pairs))
}

/// Collect the fields and files of a form from its items, `(name, text or file)`.
///
/// An empty field counts as absent, and so does a file that has neither a name nor content; the last of several is the one.
///
/// Source: FastAPI behaviour, `dependencies.utils._get_multidict_value`.
pub(crate) fn form_items(plan: &Plan, items: &Bound<'_, PyAny>, collected: &mut Collected) -> PyResult<()> {
    for item in items.try_iter()? {
        let (name, value): (Bound<'_, PyString>, Bound<'_, PyAny>) = item?.extract()?;
        let name = name.to_string_lossy();
        for key in plan.keys.form.iter().filter(|key| key.text == name) {
            let is_blank = match value.cast::<PyString>() {
                Ok(text) => !key.many && text.len()? == 0,
                Err(_) => is_empty_file(&value)?,
            };
            if !is_blank {
                keep(collected, key.slot, key.many, value.clone())?;
            } else if let (false, Some(place)) = (key.many, collected.get_mut(key.slot)) {
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
