//! The Python types and functions the encoder compares with and calls, imported once, on the first value that needs one.
//! Stands below every other file of this folder; does not look at values.
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyModule, PyString, PyType};

/// The module whose `ENCODERS_BY_TYPE` and `jsonable_encoder` applications may patch.
const ENCODERS_MODULE: &str = "ferroapi.encoders";

/// What the encoder does with an instance of a class, in the order the questions are asked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ValueKind {
    Model,
    Dataclass,
    Enumeration,
    Path,
    Scalar,
    Undefined,
    Mapping,
    Sequence,
    Other,
}

/// A type that is written without calling its entry of `ENCODERS_BY_TYPE`.
#[derive(Clone, Copy)]
pub(super) enum Native {
    Bytes,
    Date,
    DateTime,
    Time,
    TimeDelta,
    Decimal,
    Uuid,
}

/// A natively written type with the entry of `ENCODERS_BY_TYPE` that the native writer stands for.
pub(super) struct Stock {
    pub(super) class: Py<PyType>,
    pub(super) native: Native,
    encoder: Option<Py<PyAny>>,
}

impl Stock {
    /// Whether `encoder` is still the one that came with the package.
    pub(super) fn is_encoder(&self, encoder: &Bound<'_, PyAny>) -> bool {
        self.encoder.as_ref().is_some_and(|stock| stock.is(encoder))
    }
}

/// Everything the encoder needs from Python.
pub(super) struct Types {
    pub(super) stock: Vec<Stock>,
    ladder: Vec<(Py<PyType>, ValueKind)>,
    pub(super) encoders: Py<PyAny>,
    pub(super) asdict: Py<PyAny>,
    pub(super) dump: Py<PyAny>,
    pub(super) modules: Py<PyDict>,
    pub(super) model_options: Py<PyDict>,
}

static TYPES: PyOnceLock<Types> = PyOnceLock::new();

impl Types {
    /// The imported types, importing them on first use.
    ///
    /// # Errors
    /// Whatever an import raises.
    pub(super) fn get(py: Python<'_>) -> PyResult<&Types> {
        TYPES.get_or_try_init(py, || Types::import(py))
    }

    #[cold]
    fn import(py: Python<'_>) -> PyResult<Types> {
        let encoders = py.import(ENCODERS_MODULE)?;
        let import = |module: &str, name: &str| -> PyResult<Py<PyType>> {
            Ok(py.import(module)?.getattr(name)?.cast_into::<PyType>()?.unbind())
        };

        let mut ladder = vec![
            (import("pydantic", "BaseModel")?, ValueKind::Model),
            (import("enum", "Enum")?, ValueKind::Enumeration),
            (import("pathlib", "PurePath")?, ValueKind::Path),
            (import("pydantic_core", "PydanticUndefinedType")?, ValueKind::Undefined),
            (import("types", "NoneType")?, ValueKind::Scalar),
            (import("types", "GeneratorType")?, ValueKind::Sequence),
            (import("collections", "deque")?, ValueKind::Sequence),
            (import("builtins", "dict")?, ValueKind::Mapping),
        ];
        for name in ["str", "int", "float"] {
            ladder.push((import("builtins", name)?, ValueKind::Scalar));
        }
        for name in ["list", "set", "frozenset", "tuple"] {
            ladder.push((import("builtins", name)?, ValueKind::Sequence));
        }

        let table = encoders.getattr("ENCODERS_BY_TYPE")?;
        let mut stock = Vec::new();
        for (class, native, origin) in [
            (import("datetime", "datetime")?, Native::DateTime, Origin::Module),
            (import("datetime", "date")?, Native::Date, Origin::Module),
            (import("datetime", "time")?, Native::Time, Origin::Module),
            (import("datetime", "timedelta")?, Native::TimeDelta, Origin::Method("total_seconds")),
            (import("uuid", "UUID")?, Native::Uuid, Origin::Str),
            (import("decimal", "Decimal")?, Native::Decimal, Origin::Module),
            (import("builtins", "bytes")?, Native::Bytes, Origin::Method("decode")),
        ] {
            let encoder = table.get_item(&class).ok();
            let encoder = encoder.filter(|encoder| origin.is_of(encoder, class.bind(py), &encoders));
            stock.push(Stock { class, native, encoder: encoder.map(Bound::unbind) });
        }

        let model_options = PyDict::new(py);
        model_options.set_item("mode", "json")?;
        model_options.set_item("by_alias", true)?;
        for name in ["include", "exclude"] {
            model_options.set_item(name, py.None())?;
        }
        for name in ["exclude_unset", "exclude_none", "exclude_defaults"] {
            model_options.set_item(name, false)?;
        }

        let json_options = PyDict::new(py);
        json_options.set_item("ensure_ascii", false)?;
        json_options.set_item("allow_nan", false)?;
        json_options.set_item("separators", (",", ":"))?;
        let json_encoder = py.import("json")?.getattr("JSONEncoder")?.call((), Some(&json_options))?;

        Ok(Types {
            stock,
            ladder,
            asdict: py.import("dataclasses")?.getattr("asdict")?.unbind(),
            dump: json_encoder.getattr("iterencode")?.unbind(),
            modules: py.import("sys")?.getattr("modules")?.cast_into::<PyDict>()?.unbind(),
            model_options: model_options.unbind(),
            encoders: encoders.into_any().unbind(),
        })
    }

    /// The first question that the class of a value answers with yes, from its bases alone.
    ///
    /// # Errors
    /// Whatever a metaclass raises when it is asked for `__dataclass_fields__`.
    pub(super) fn kind_of(&self, class: &Bound<'_, PyType>) -> PyResult<ValueKind> {
        let mut kind = ValueKind::Other;
        for base in class.mro().iter_borrowed() {
            for (known, answer) in &self.ladder {
                if known.is(base) {
                    kind = kind.min(*answer);
                }
            }
        }
        if kind > ValueKind::Dataclass && class.getattr_opt(intern!(class.py(), "__dataclass_fields__"))?.is_some() {
            kind = ValueKind::Dataclass;
        }
        Ok(kind)
    }
}

/// How a stock encoder is told from one that an application put in its place before the first answer.
#[derive(Clone, Copy)]
enum Origin {
    /// A function written in the encoders module.
    Module,
    /// A method of the type itself.
    Method(&'static str),
    /// The class `str`.
    Str,
}

impl Origin {
    fn is_of(self, encoder: &Bound<'_, PyAny>, class: &Bound<'_, PyType>, encoders: &Bound<'_, PyModule>) -> bool {
        let written_there = |encoder: &Bound<'_, PyAny>| {
            encoder.getattr("__globals__").is_ok_and(|globals| globals.is(encoders.dict()))
        };
        match self {
            Origin::Module => written_there(encoder),
            Origin::Method(name) => class.getattr(name).is_ok_and(|method| method.is(encoder)),
            Origin::Str => encoder.is(encoder.py().get_type::<PyString>()),
        }
    }
}
