//! The walk over a value beside its type: what is valid and written, until the first thing that is not as expected.
//! Runs no code of the application's: what would, is a surprise.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFrozenSet, PyInt, PyList, PySet, PyString, PyTuple};
use pyo3::{CastError, PyTypeCheck};

use super::classes::{Access, Classes, Read};
use super::{Field, Kind, Model, Node, moment, scalar};
use crate::ffi;

/// Room for a small answer, in bytes.
const FIRST_CAPACITY: usize = 1024;
/// Containers within each other where the type says nothing about them; deeper ones are left to pydantic.
const DEEPEST: usize = 32;

/// Something is not as expected; pydantic says what.
pub(super) struct Surprise;

pub(super) type Written = Result<(), Surprise>;

impl From<PyErr> for Surprise {
    fn from(_: PyErr) -> Self {
        Surprise
    }
}

impl From<CastError<'_, '_>> for Surprise {
    fn from(_: CastError<'_, '_>) -> Self {
        Surprise
    }
}

/// The value as one of exactly this type.
#[inline]
pub(super) fn exact<'any, 'py, T: PyTypeCheck + pyo3::PyTypeInfo>(
    value: &'any Bound<'py, PyAny>,
) -> Result<&'any Bound<'py, T>, Surprise> {
    value.cast_exact::<T>().map_err(|_| Surprise)
}

/// What is written so far, and what was learned about classes on the way.
pub(super) struct Writer<'shape, 'py> {
    pub(super) out: Vec<u8>,
    /// Whether the surprise was met in something that validation does not change.
    pub(super) was_valid: bool,
    exclude_none: bool,
    classes: Classes<'shape, 'py>,
}

impl<'shape, 'py> Writer<'shape, 'py> {
    pub(super) fn new(exclude_none: bool) -> Self {
        let out = Vec::with_capacity(FIRST_CAPACITY);
        Writer { out, was_valid: false, exclude_none, classes: Classes::default() }
    }

    /// Writes a value; `VALID` says that it was validated, and otherwise it must be such that validation keeps it.
    pub(super) fn write<const VALID: bool>(&mut self, node: &'shape Node, value: &Bound<'py, PyAny>) -> Written {
        if !VALID && !node.identity {
            return Err(Surprise);
        }
        let out = &mut self.out;
        match &node.kind {
            Kind::Str => scalar::text(value, out),
            Kind::Int => scalar::integer(value, out),
            Kind::Float => scalar::float(value, out),
            Kind::Bool => scalar::boolean(value, out),
            Kind::Nullable(inner) => {
                if value.is_none() {
                    scalar::none(value, out)
                } else {
                    self.write::<VALID>(inner, value)
                }
            }
            Kind::Model(model) => self.model::<VALID>(model, value),
            // Of a list of the application's own, too, pydantic reads only what is in it.
            Kind::List(item) => self.list::<VALID>(item, value.cast::<PyList>()?),
            Kind::Dict(types) => self.dict::<VALID>(types, exact(value)?),
            Kind::DateTime => moment::datetime(value, out),
            Kind::Enum(members) => {
                let json = members.iter().find(|(member, _)| value.is(member)).map(|(_, json)| json);
                out.extend_from_slice(json.ok_or(Surprise)?);
                Ok(())
            }
            Kind::Literal(choices) => self.literal(choices, value),
            Kind::Uuid => scalar::uuid(value, out),
            Kind::Date => moment::date(value, out),
            Kind::Time => moment::time(value, out),
            Kind::Decimal => scalar::decimal(value, out),
            Kind::Bytes => scalar::bytes(value, out),
            Kind::None => scalar::none(value, out),
            Kind::Any => self.any(value, 0),
            Kind::Set(item) => self.items::<VALID>(item, exact::<PySet>(value)?),
            Kind::FrozenSet(item) => self.items::<VALID>(item, exact::<PyFrozenSet>(value)?),
            Kind::Tuples(item) => self.items::<VALID>(item, exact::<PyTuple>(value)?),
            Kind::Tuple(items) => self.tuple::<VALID>(items, exact(value)?),
        }
    }

    /// Closes what begins at `start`, whose parts each have a comma before them.
    #[inline]
    fn close(&mut self, start: usize, [open, close]: [u8; 2]) {
        match self.out.get_mut(start) {
            Some(comma) => *comma = open,
            None => self.out.push(open),
        }
        self.out.push(close);
    }

    fn list<const VALID: bool>(&mut self, item: &'shape Node, list: &Bound<'py, PyList>) -> Written {
        let start = self.out.len();
        // By index: nothing is copied, and a list that another thread shortens ends.
        let mut index = 0;
        while index < list.len() {
            let value = list.get_item(index)?;
            self.out.push(b',');
            self.write::<VALID>(item, &value)?;
            index += 1;
        }
        self.close(start, *b"[]");
        Ok(())
    }

    fn items<const VALID: bool>(&mut self, item: &'shape Node, values: &Bound<'py, PyAny>) -> Written {
        let start = self.out.len();
        for value in values.try_iter()? {
            self.out.push(b',');
            self.write::<VALID>(item, &value?)?;
        }
        self.close(start, *b"[]");
        Ok(())
    }

    fn tuple<const VALID: bool>(&mut self, items: &'shape [Node], tuple: &Bound<'py, PyTuple>) -> Written {
        if items.len() != tuple.len() {
            return Err(Surprise);
        }
        let start = self.out.len();
        for (item, value) in items.iter().zip(tuple) {
            self.out.push(b',');
            self.write::<VALID>(item, &value)?;
        }
        self.close(start, *b"[]");
        Ok(())
    }

    fn dict<const VALID: bool>(&mut self, types: &'shape (Node, Node), dict: &Bound<'py, PyDict>) -> Written {
        let start = self.out.len();
        let mut items = Items::new(dict);
        while let Some((key, value)) = items.next()? {
            self.out.push(b',');
            match (&types.0.kind, VALID || types.0.identity) {
                (Kind::Str | Kind::Any, true) => scalar::text(&key, &mut self.out)?,
                (Kind::Int, true) => {
                    self.out.push(b'"');
                    scalar::integer(&key, &mut self.out)?;
                    self.out.push(b'"');
                }
                _ => return Err(Surprise),
            }
            self.out.push(b':');
            self.write::<VALID>(&types.1, &value)?;
        }
        self.close(start, *b"{}");
        Ok(())
    }

    /// Writes what JSON itself has a type for.
    fn any(&mut self, value: &Bound<'py, PyAny>, depth: usize) -> Written {
        let start = self.out.len();
        if depth > DEEPEST {
            return Err(Surprise);
        }
        if let Ok(dict) = value.cast_exact::<PyDict>() {
            let mut items = Items::new(dict);
            while let Some((key, value)) = items.next()? {
                self.out.push(b',');
                scalar::text(&key, &mut self.out)?;
                self.out.push(b':');
                self.any(&value, depth + 1)?;
            }
            self.close(start, *b"{}");
            Ok(())
        } else if let Ok(list) = value.cast_exact::<PyList>() {
            let mut index = 0;
            while index < list.len() {
                let value = list.get_item(index)?;
                self.out.push(b',');
                self.any(&value, depth + 1)?;
                index += 1;
            }
            self.close(start, *b"[]");
            Ok(())
        } else {
            scalar::any(value, &mut self.out)
        }
    }

    fn literal(&mut self, choices: &[Box<[u8]>], value: &Bound<'py, PyAny>) -> Written {
        let start = self.out.len();
        if value.is_exact_instance_of::<PyInt>() {
            scalar::integer(value, &mut self.out)?;
        } else {
            scalar::text(value, &mut self.out)?;
        }
        let written = self.out.get(start..).unwrap_or_default();
        if choices.iter().any(|choice| **choice == *written) { Ok(()) } else { Err(Surprise) }
    }

    fn model<const VALID: bool>(&mut self, model: &'shape Model, value: &Bound<'py, PyAny>) -> Written {
        let class = value.get_type();
        if class.is(&model.class) {
            return self.instance::<VALID>(model, value);
        }
        if let Ok(dict) = value.cast_exact::<PyDict>() {
            return if VALID { Err(Surprise) } else { self.mapping(model, dict) };
        }
        let index = self.classes.find(model, class, value)?;
        match self.classes.access(index) {
            Access::Instance => self.instance::<VALID>(model, value),
            Access::Attributes if !VALID && model.is_open => self.attributes(model, index, value),
            Access::Attributes | Access::Unknown => Err(Surprise),
        }
    }

    /// Writes an instance of the model or of a subclass: validation keeps it, whatever it holds.
    fn instance<const VALID: bool>(&mut self, model: &'shape Model, value: &Bound<'py, PyAny>) -> Written {
        if !VALID && !model.keeps_instances {
            return Err(Surprise);
        }
        let written = self.entries(model, value);
        self.was_valid |= written.is_err();
        written
    }

    /// Writes the entries of an instance's `__dict__`, which nearly always are the fields and nothing else.
    fn entries(&mut self, model: &'shape Model, value: &Bound<'py, PyAny>) -> Written {
        let values = ffi::instance_dict(value)?;
        let values = exact::<PyDict>(&values)?;
        if values.len() != model.fields.len() {
            return self.chosen_entries(model, values);
        }
        let start = self.out.len();
        let mut position = 0;
        for field in &model.fields {
            let Some(value) = ffi::next_value(values, &mut position, &field.name) else {
                self.out.truncate(start);
                return self.chosen_entries(model, values);
            };
            self.entry(field, &value)?;
        }
        self.close(start, *b"{}");
        Ok(())
    }

    /// Writes those entries that are fields, which must be all fields in their order.
    #[cold]
    fn chosen_entries(&mut self, model: &'shape Model, values: &Bound<'py, PyDict>) -> Written {
        let start = self.out.len();
        let mut items = Items::new(values);
        let mut fields = model.fields.iter();
        let mut next = fields.next();
        while let Some((key, value)) = items.next()? {
            match next {
                Some(field) if is_name(&key, field)? => {
                    next = fields.next();
                    self.entry(field, &value)?;
                }
                // What a subclass adds is not written; fields in another order are.
                _ => {
                    for field in &model.fields {
                        if is_name(&key, field)? {
                            return Err(Surprise);
                        }
                    }
                }
            }
        }
        if next.is_some() {
            return Err(Surprise);
        }
        self.close(start, *b"{}");
        Ok(())
    }

    /// Writes a field of an instance.
    #[inline]
    fn entry(&mut self, field: &'shape Field, value: &Bound<'py, PyAny>) -> Written {
        // What is never written may be anything.
        if field.is_excluded { Ok(()) } else { self.field::<true>(field, value) }
    }

    /// Writes the model that validation would make of a dict.
    fn mapping(&mut self, model: &'shape Model, dict: &Bound<'py, PyDict>) -> Written {
        if !model.takes_dicts {
            return Err(Surprise);
        }
        let start = self.out.len();
        for field in &model.fields {
            let mut found = None;
            for source in &field.sources {
                found = dict.get_item(source)?;
                if found.is_some() {
                    break;
                }
            }
            match (found, &field.default) {
                (Some(value), _) => self.field::<false>(field, &value)?,
                (None, Some(default)) => self.field::<true>(field, default.bind(dict.py()))?,
                (None, None) => return Err(Surprise),
            }
        }
        self.close(start, *b"{}");
        Ok(())
    }

    /// Writes the model that validation would make of an object's attributes.
    fn attributes(&mut self, model: &'shape Model, index: usize, value: &Bound<'py, PyAny>) -> Written {
        let start = self.out.len();
        let mut entries = None;
        for (position, field) in model.fields.iter().enumerate() {
            let [source] = &*field.sources else { return Err(Surprise) };
            let found = match self.classes.read(index, position) {
                Some(Read::Attribute) => value.getattr(source)?,
                Some(Read::Entry) => {
                    let entries = match &entries {
                        Some(entries) => entries,
                        None => entries.insert(ffi::instance_dict(value)?),
                    };
                    exact::<PyDict>(entries)?.get_item(source)?.ok_or(Surprise)?
                }
                None => return Err(Surprise),
            };
            self.field::<false>(field, &found)?;
        }
        self.close(start, *b"{}");
        Ok(())
    }

    #[inline]
    fn field<const VALID: bool>(&mut self, field: &'shape Field, value: &Bound<'py, PyAny>) -> Written {
        let before = self.out.len();
        self.out.extend_from_slice(&field.key);
        self.write::<VALID>(&field.node, value)?;
        if field.is_excluded || (self.exclude_none && value.is_none()) {
            self.out.truncate(before);
        }
        Ok(())
    }
}

/// Whether a key of `__dict__` is the field's name: nearly always the very same object.
#[inline]
fn is_name(key: &Bound<'_, PyAny>, field: &Field) -> Result<bool, Surprise> {
    if key.is(&field.name) {
        return Ok(true);
    }
    Ok(exact::<PyString>(key)?.to_str()? == field.name.bind(key.py()).to_str()?)
}

/// A key and its value.
type Item<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

/// A walk over a dict that ends in a surprise, where `PyO3`'s own panics, if another thread changes it.
struct Items<'a, 'py> {
    dict: &'a Bound<'py, PyDict>,
    iterator: pyo3::types::dict::BoundDictIterator<'py>,
    size: usize,
}

impl<'a, 'py> Items<'a, 'py> {
    fn new(dict: &'a Bound<'py, PyDict>) -> Self {
        Items { iterator: dict.iter(), size: dict.len(), dict }
    }

    #[inline]
    fn next(&mut self) -> Result<Option<Item<'py>>, Surprise> {
        if self.dict.len() != self.size {
            return Err(Surprise);
        }
        Ok(self.iterator.next())
    }
}
