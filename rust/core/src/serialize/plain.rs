//! Data that is JSON already, of exactly Python's own types: what needs no encoder.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

use super::items::{self, Items};
use super::sink::HIDDEN;
use crate::error::guarded;

/// How many arrays and objects may be inside each other; more are left to Python, which knows when it is too many.
const DEEPEST: usize = 32;

/// Whether `jsonable_encoder` keeps an entry with this key, as it is: it drops what `SQLAlchemy` keeps in an object.
fn is_kept(key: &Bound<'_, PyAny>) -> bool {
    key.cast_exact::<PyString>().is_ok_and(|key| key.to_str().is_ok_and(|text| !text.starts_with(HIDDEN)))
}

/// Whether a value is of these types alone, and `json.dumps` writes it as `encode_json` does.
pub(crate) fn is_plain(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    is_plain_within(value, DEEPEST)
}

fn is_plain_within(value: &Bound<'_, PyAny>, levels: usize) -> PyResult<bool> {
    if items::is_scalar(value) {
        return Ok(true);
    }
    let Some(levels) = levels.checked_sub(1) else { return Ok(false) };
    if let Ok(list) = value.cast_exact::<PyList>() {
        for item in list {
            if !is_plain_within(&item, levels)? {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    let Ok(dict) = value.cast_exact::<PyDict>() else { return Ok(false) };
    let mut items = Items::new(dict.clone());
    while let Some((key, value)) = items.next()? {
        if !(is_kept(&key) && is_plain_within(&value, levels)?) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn copy<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    if let Ok(list) = value.cast_exact::<PyList>() {
        let copied = PyList::empty(py);
        list.iter().try_for_each(|item| copied.append(copy(&item)?))?;
        return Ok(copied.into_any());
    }
    let Ok(dict) = value.cast_exact::<PyDict>() else { return Ok(value.clone()) };
    let copied = PyDict::new(py);
    let mut items = Items::new(dict.clone());
    while let Some((key, value)) = items.next()? {
        copied.set_item(key, copy(&value)?)?;
    }
    Ok(copied.into_any())
}

/// What `jsonable_encoder(value)` returns, if it is data of exactly Python's own types; `None` for any other value.
#[pyfunction]
pub(crate) fn plain_copy<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    guarded(|| if is_plain(value)? { copy(value).map(Some) } else { Ok(None) })
}
