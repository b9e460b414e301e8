//! Every value that is not exactly of a JSON type: which question of FastAPI's encoder it answers with yes.
//! Calls the tables and functions of `ferroapi.encoders` as they are now, so that what applications patch keeps working.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};

use super::sink::Sink;
use super::types::{Stock, Types, ValueKind};

/// What stands in for a value.
pub(super) enum Replacement<'py> {
    /// Nothing: it is written.
    Written,
    /// A value that is encoded in turn.
    Encode(Bound<'py, PyAny>),
    /// A value that is written as it is.
    Encoded(Bound<'py, PyAny>),
    /// An object, read through `keys()` and `items()`.
    Mapping,
    /// An array, read by iterating.
    Sequence,
}

/// Writes or replaces a value that is not exactly a string, number, boolean, `None`, dict, list or tuple.
///
/// # Errors
/// What the value's own code raises; `ValueError` with two errors if there is no way to read it.
pub(super) fn replace<'py>(value: &Bound<'py, PyAny>, sink: &mut Sink) -> PyResult<Replacement<'py>> {
    let py = value.py();
    let types = Types::get(py)?;
    let class = value.get_type();
    if let Some(stock) = types.stock.iter().find(|stock| stock.class.is(&class)) {
        return write_stock(stock, types, value, sink);
    }
    // A stand-in (a mock, a lazy proxy) claims another class, and a class is no instance of itself: Python decides.
    if value.is_instance_of::<PyType>() || !value.getattr(intern!(py, "__class__"))?.is(&class) {
        return replace_in_python(types, value);
    }
    match types.kind_of(&class)? {
        ValueKind::Model => {
            let options = types.model_options.bind(py);
            let dumped = value.call_method(intern!(py, "model_dump"), (), Some(options))?;
            Ok(Replacement::Encode(dumped))
        }
        ValueKind::Dataclass => Ok(Replacement::Encode(types.asdict.bind(py).call1((value,))?)),
        ValueKind::Enumeration => Ok(Replacement::Encoded(value.getattr(intern!(py, "value"))?)),
        ValueKind::Path => Ok(Replacement::Encoded(value.str()?.into_any())),
        ValueKind::Scalar => Ok(Replacement::Encoded(value.clone())),
        ValueKind::Undefined => Ok(Replacement::Encoded(py.None().into_bound(py))),
        ValueKind::Mapping => Ok(Replacement::Mapping),
        ValueKind::Sequence => Ok(Replacement::Sequence),
        ValueKind::Other => replace_other(types, value, &class),
    }
}

/// The encoded form of a key that is not exactly of a JSON type: itself, or what stands for it.
///
/// # Errors
/// What the key's own code raises.
#[cold]
#[inline(never)]
pub(super) fn encode_key<'py>(key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = key.py();
    let encoders = Types::get(py)?.encoders.bind(py);
    encoders.call_method1(intern!(py, "jsonable_encoder"), (key,))
}

fn write_stock<'py>(
    stock: &Stock,
    types: &Types,
    value: &Bound<'py, PyAny>,
    sink: &mut Sink,
) -> PyResult<Replacement<'py>> {
    let class = stock.class.bind(value.py());
    let Some(encoder) = find_exact(types, class)? else {
        return replace_other(types, value, class);
    };
    if stock.is_encoder(&encoder) && sink.native(stock.native, value)? {
        return Ok(Replacement::Written);
    }
    encoder.call1((value,)).map(Replacement::Encoded)
}

/// The entry of `ENCODERS_BY_TYPE` for exactly this class.
fn find_exact<'py>(types: &Types, class: &Bound<'py, PyType>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = class.py();
    let table = types.encoders.bind(py).getattr(intern!(py, "ENCODERS_BY_TYPE"))?;
    if let Ok(table) = table.cast_exact::<PyDict>() {
        return table.get_item(class);
    }
    if table.contains(class)? { table.get_item(class).map(Some) } else { Ok(None) }
}

/// The encoder of the first group of classes that the value is an instance of.
fn find_group<'py>(types: &Types, value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = value.py();
    let groups = types.encoders.bind(py).getattr(intern!(py, "encoders_by_class_tuples"))?;
    for group in groups.call_method0(intern!(py, "items"))?.try_iter()? {
        let (encoder, classes) = group?.extract::<(Bound<'py, PyAny>, Bound<'py, PyAny>)>()?;
        if value.is_instance(&classes)? {
            return Ok(Some(encoder));
        }
    }
    Ok(None)
}

fn replace_other<'py>(
    types: &Types,
    value: &Bound<'py, PyAny>,
    class: &Bound<'py, PyType>,
) -> PyResult<Replacement<'py>> {
    let py = value.py();
    let encoder = match find_exact(types, class)? {
        None => find_group(types, value)?,
        found => found,
    };
    if let Some(encoder) = encoder {
        return encoder.call1((value,)).map(Replacement::Encoded);
    }
    // A model of pydantic.v1 cannot exist before its module does; Python has the words of the refusal.
    if types.modules.bind(py).contains(intern!(py, "pydantic.v1.main"))? && is_old_model(types, value)? {
        return replace_in_python(types, value);
    }
    types.encoders.bind(py).call_method1(intern!(py, "_read_as_mapping"), (value,)).map(Replacement::Encode)
}

fn is_old_model(types: &Types, value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = value.py();
    types.encoders.bind(py).call_method1(intern!(py, "is_pydantic_v1_model_instance"), (value,))?.is_truthy()
}

#[cold]
fn replace_in_python<'py>(types: &Types, value: &Bound<'py, PyAny>) -> PyResult<Replacement<'py>> {
    let py = value.py();
    types.encoders.bind(py).call_method1(intern!(py, "jsonable_encoder"), (value,)).map(Replacement::Encoded)
}
