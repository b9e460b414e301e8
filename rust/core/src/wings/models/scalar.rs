//! Values that hold no others, as `to_json` of pydantic prints them: exact types only.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyFloat, PyInt, PyString, PyType};

use super::plain::{Done, NotPlain};
use crate::serialize::write_uuid;

#[inline]
pub(super) fn text(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Done {
    // A lone surrogate is an error of pydantic's.
    wire::json::write_str(value.cast_exact::<PyString>()?.to_str()?, out);
    Ok(())
}

#[inline]
pub(super) fn integer(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Done {
    wire::json::write_i64(value.cast_exact::<PyInt>()?.extract::<i64>()?, out);
    Ok(())
}

/// Writes a float; `null` for one that is not finite, as pydantic does unless it is told otherwise.
#[inline]
pub(super) fn float(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Done {
    let number = value.cast_exact::<PyFloat>()?.value();
    if number.is_finite() {
        wire::json::write_f64_shortest(number, out);
    } else {
        out.extend_from_slice(b"null");
    }
    Ok(())
}

#[inline]
pub(super) fn boolean(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Done {
    out.extend_from_slice(if value.cast_exact::<PyBool>()?.is_true() { b"true" } else { b"false" });
    Ok(())
}

#[inline]
pub(super) fn none(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Done {
    if !value.is_none() {
        return Err(NotPlain);
    }
    out.extend_from_slice(b"null");
    Ok(())
}

/// Writes a value of any type that JSON has, except containers and floats that are not finite.
pub(super) fn any(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Done {
    if value.is_exact_instance_of::<PyString>() {
        text(value, out)
    } else if value.is_exact_instance_of::<PyInt>() {
        integer(value, out)
    } else if value.is_exact_instance_of::<PyBool>() {
        boolean(value, out)
    } else if let Ok(number) = value.cast_exact::<PyFloat>() {
        if number.value().is_finite() { float(value, out) } else { Err(NotPlain) }
    } else {
        none(value, out)
    }
}

/// Writes bytes that are UTF-8.
pub(super) fn bytes(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Done {
    let text = std::str::from_utf8(value.cast_exact::<PyBytes>()?.as_bytes()).map_err(|_| NotPlain)?;
    wire::json::write_str(text, out);
    Ok(())
}

fn is_exactly(value: &Bound<'_, PyAny>, module: &str, name: &str, class: &PyOnceLock<Py<PyType>>) -> Done {
    let class = class.import(value.py(), module, name)?;
    if value.get_type().is(class) { Ok(()) } else { Err(NotPlain) }
}

/// Writes the 36 characters of a UUID.
pub(super) fn uuid(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Done {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    is_exactly(value, "uuid", "UUID", &CLASS)?;
    let number = value.getattr(intern!(value.py(), "int"))?.extract::<u128>()?;
    write_uuid(number, out);
    Ok(())
}

/// Writes a finite decimal as a text.
pub(super) fn decimal(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Done {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    is_exactly(value, "decimal", "Decimal", &CLASS)?;
    let text = value.str()?;
    let text = text.to_str()?;
    // What is not a number has no digits at all, or is no valid value.
    if !text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'E')) {
        return Err(NotPlain);
    }
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
    Ok(())
}
