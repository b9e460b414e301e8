//! The walk over a value beside its type: what is valid and written, until the first thing that is not as expected.
//! Runs no code of the application's: what would, is not plain.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFrozenSet, PyInt, PyList, PySet, PyString, PyTuple};

use super::classes::{Access, Classes, Read};
use super::plain::{Done, NotPlain};
use super::{JsonField, JsonType, Model, TypeKind, moment, scalar};
use crate::ffi;
use crate::serialize::{Entry, Items};

/// Room for a small answer, in bytes.
const FIRST_CAPACITY: usize = 1024;
/// Containers within each other where the type says nothing about them; deeper ones are left to pydantic.
const DEEPEST: usize = 32;

/// What is written so far, and what was learned about classes on the way.
pub(super) struct Writer<'model, 'py> {
    pub(super) out: Vec<u8>,
    /// Whether what is not plain was met in something that validation does not change.
    pub(super) was_valid: bool,
    exclude_none: bool,
    classes: Classes<'model, 'py>,
}

impl<'model, 'py> Writer<'model, 'py> {
    pub(super) fn new(exclude_none: bool) -> Self {
        let out = Vec::with_capacity(FIRST_CAPACITY);
        Writer { out, was_valid: false, exclude_none, classes: Classes::default() }
    }

    /// Writes a value; `VALID` says that it was validated, and otherwise it must be such that validation keeps it.
    pub(super) fn write<const VALID: bool>(&mut self, node: &'model JsonType, value: &Bound<'py, PyAny>) -> Done {
        if !VALID && !node.identity {
            return Err(NotPlain);
        }
        let out = &mut self.out;
        match &node.kind {
            TypeKind::Str => scalar::text(value, out),
            TypeKind::Int => scalar::integer(value, out),
            TypeKind::Float => scalar::float(value, out),
            TypeKind::Bool => scalar::boolean(value, out),
            TypeKind::Nullable(inner) => {
                if value.is_none() {
                    scalar::none(value, out)
                } else {
                    self.write::<VALID>(inner.get(), value)
                }
            }
            TypeKind::Model(model) => self.model::<VALID>(model, value),
            // Of a list of the application's own, too, pydantic reads only what is in it.
            TypeKind::List(item) => self.list::<VALID>(item.get(), value.cast::<PyList>()?),
            TypeKind::Dict(keys, values) => self.dict::<VALID>((keys.get(), values.get()), value.cast_exact()?),
            TypeKind::DateTime => moment::datetime(value, out),
            TypeKind::Enum(members) => {
                let json = members.iter().find(|(member, _)| value.is(member)).map(|(_, json)| json);
                out.extend_from_slice(json.ok_or(NotPlain)?);
                Ok(())
            }
            TypeKind::Literal(choices) => self.literal(choices, value),
            TypeKind::Uuid => scalar::uuid(value, out),
            TypeKind::Date => moment::date(value, out),
            TypeKind::Time => moment::time(value, out),
            TypeKind::Decimal => scalar::decimal(value, out),
            TypeKind::Bytes => scalar::bytes(value, out),
            TypeKind::None => scalar::none(value, out),
            TypeKind::Any => self.any(value, 0),
            TypeKind::Set(item) => self.items::<VALID>(item.get(), value.cast_exact::<PySet>()?),
            TypeKind::FrozenSet(item) => self.items::<VALID>(item.get(), value.cast_exact::<PyFrozenSet>()?),
            TypeKind::Tuples(item) => self.items::<VALID>(item.get(), value.cast_exact::<PyTuple>()?),
            TypeKind::Tuple(items) => self.tuple::<VALID>(items, value.cast_exact()?),
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

    fn list<const VALID: bool>(&mut self, item: &'model JsonType, list: &Bound<'py, PyList>) -> Done {
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

    fn items<const VALID: bool>(&mut self, item: &'model JsonType, values: &Bound<'py, PyAny>) -> Done {
        let start = self.out.len();
        for value in values.try_iter()? {
            self.out.push(b',');
            self.write::<VALID>(item, &value?)?;
        }
        self.close(start, *b"[]");
        Ok(())
    }

    fn tuple<const VALID: bool>(&mut self, items: &'model [Py<JsonType>], tuple: &Bound<'py, PyTuple>) -> Done {
        if items.len() != tuple.len() {
            return Err(NotPlain);
        }
        let start = self.out.len();
        for (item, value) in items.iter().zip(tuple) {
            self.out.push(b',');
            self.write::<VALID>(item.get(), &value)?;
        }
        self.close(start, *b"[]");
        Ok(())
    }

    fn dict<const VALID: bool>(
        &mut self,
        (keys, values): (&'model JsonType, &'model JsonType),
        dict: &Bound<'py, PyDict>,
    ) -> Done {
        let start = self.out.len();
        let mut items = Items::new(dict.clone());
        while let Some((key, value)) = next_entry(&mut items)? {
            self.out.push(b',');
            match (&keys.kind, VALID || keys.identity) {
                (TypeKind::Str | TypeKind::Any, true) => scalar::text(&key, &mut self.out)?,
                (TypeKind::Int, true) => {
                    self.out.push(b'"');
                    scalar::integer(&key, &mut self.out)?;
                    self.out.push(b'"');
                }
                _ => return Err(NotPlain),
            }
            self.out.push(b':');
            self.write::<VALID>(values, &value)?;
        }
        self.close(start, *b"{}");
        Ok(())
    }

    /// Writes what JSON itself has a type for.
    fn any(&mut self, value: &Bound<'py, PyAny>, depth: usize) -> Done {
        let start = self.out.len();
        if depth > DEEPEST {
            return Err(NotPlain);
        }
        if let Ok(dict) = value.cast_exact::<PyDict>() {
            let mut items = Items::new(dict.clone());
            while let Some((key, value)) = next_entry(&mut items)? {
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

    fn literal(&mut self, choices: &[Box<[u8]>], value: &Bound<'py, PyAny>) -> Done {
        let start = self.out.len();
        if value.is_exact_instance_of::<PyInt>() {
            scalar::integer(value, &mut self.out)?;
        } else {
            scalar::text(value, &mut self.out)?;
        }
        let written = self.out.get(start..).unwrap_or_default();
        if choices.iter().any(|choice| **choice == *written) { Ok(()) } else { Err(NotPlain) }
    }

    fn model<const VALID: bool>(&mut self, model: &'model Model, value: &Bound<'py, PyAny>) -> Done {
        let class = value.get_type();
        if class.is(&model.class) {
            return self.instance::<VALID>(model, value);
        }
        if let Ok(dict) = value.cast_exact::<PyDict>() {
            return if VALID { Err(NotPlain) } else { self.mapping(model, dict) };
        }
        let index = self.classes.find(model, class, value)?;
        match self.classes.access(index) {
            Access::Instance => self.instance::<VALID>(model, value),
            Access::Attributes if !VALID && model.is_open => self.attributes(model, index, value),
            Access::Attributes | Access::Unknown => Err(NotPlain),
        }
    }

    /// Writes an instance of the model or of a subclass: validation keeps it, whatever it holds.
    fn instance<const VALID: bool>(&mut self, model: &'model Model, value: &Bound<'py, PyAny>) -> Done {
        if !VALID && !model.keeps_instances {
            return Err(NotPlain);
        }
        let written = self.entries(model, value);
        self.was_valid |= written.is_err();
        written
    }

    /// Writes the entries of an instance's `__dict__`, which nearly always are the fields and nothing else.
    fn entries(&mut self, model: &'model Model, value: &Bound<'py, PyAny>) -> Done {
        let values = ffi::instance_dict(value)?;
        let values = values.cast_exact::<PyDict>()?;
        if values.len() != model.fields.len() {
            return self.chosen_entries(model, values);
        }
        let start = self.out.len();
        let mut position = 0;
        for field in model.fields.iter().map(Py::get) {
            let Some(value) = ffi::entries::next_value(values, &mut position, &field.name) else {
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
    fn chosen_entries(&mut self, model: &'model Model, values: &Bound<'py, PyDict>) -> Done {
        let start = self.out.len();
        let mut items = Items::new(values.clone());
        let mut fields = model.fields.iter().map(Py::get);
        let mut next = fields.next();
        while let Some((key, value)) = next_entry(&mut items)? {
            match next {
                Some(field) if is_name(&key, field)? => {
                    next = fields.next();
                    self.entry(field, &value)?;
                }
                // What a subclass adds is not written; fields in another order are.
                _ => {
                    for field in model.fields.iter().map(Py::get) {
                        if is_name(&key, field)? {
                            return Err(NotPlain);
                        }
                    }
                }
            }
        }
        if next.is_some() {
            return Err(NotPlain);
        }
        self.close(start, *b"{}");
        Ok(())
    }

    /// Writes a field of an instance.
    #[inline]
    fn entry(&mut self, field: &'model JsonField, value: &Bound<'py, PyAny>) -> Done {
        // What is never written may be anything.
        if field.is_excluded { Ok(()) } else { self.field::<true>(field, value) }
    }

    /// Writes the model that validation would make of a dict.
    fn mapping(&mut self, model: &'model Model, dict: &Bound<'py, PyDict>) -> Done {
        if !model.takes_dicts {
            return Err(NotPlain);
        }
        let start = self.out.len();
        for field in model.fields.iter().map(Py::get) {
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
                (None, None) => return Err(NotPlain),
            }
        }
        self.close(start, *b"{}");
        Ok(())
    }

    /// Writes the model that validation would make of an object's attributes.
    fn attributes(&mut self, model: &'model Model, index: usize, value: &Bound<'py, PyAny>) -> Done {
        let start = self.out.len();
        let mut entries = None;
        for (position, field) in model.fields.iter().map(Py::get).enumerate() {
            let [source] = &*field.sources else { return Err(NotPlain) };
            let found = match self.classes.read(index, position) {
                Some(Read::Attribute) => value.getattr(source)?,
                Some(Read::Entry) => {
                    let entries = match &entries {
                        Some(entries) => entries,
                        None => entries.insert(ffi::instance_dict(value)?),
                    };
                    entries.cast_exact::<PyDict>()?.get_item(source)?.ok_or(NotPlain)?
                }
                None => return Err(NotPlain),
            };
            self.field::<false>(field, &found)?;
        }
        self.close(start, *b"{}");
        Ok(())
    }

    #[inline]
    fn field<const VALID: bool>(&mut self, field: &'model JsonField, value: &Bound<'py, PyAny>) -> Done {
        let before = self.out.len();
        self.out.extend_from_slice(&field.key);
        self.write::<VALID>(field.kind.get(), value)?;
        if field.is_excluded || (self.exclude_none && value.is_none()) {
            self.out.truncate(before);
        }
        Ok(())
    }
}

/// Whether a key of `__dict__` is the field's name: nearly always the very same object.
#[inline]
fn is_name(key: &Bound<'_, PyAny>, field: &JsonField) -> Result<bool, NotPlain> {
    if key.is(&field.name) {
        return Ok(true);
    }
    Ok(key.cast_exact::<PyString>()?.to_str()? == field.name.bind(key.py()).to_str()?)
}

/// The next entry of a dict; not plain if another thread has put others in the place of those that were counted.
#[inline]
fn next_entry<'py>(items: &mut Items<'py>) -> Result<Option<Entry<'py>>, NotPlain> {
    match items.next()? {
        None if items.left > 0 => Err(NotPlain),
        entry => Ok(entry),
    }
}
