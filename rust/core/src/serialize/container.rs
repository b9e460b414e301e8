//! Arrays and objects that are open: where each stands, and what it writes next.
//! Frames live on the encoder's own stack, so nesting costs no native stack and items are fetched one at a time.
use std::num::NonZeroU64;
use std::ops::Range;

use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyIterator, PyList, PySet, PyString, PyTuple};

use super::fallback::encode_key;
use super::scalar::Leaf;
use super::sink::{HIDDEN, Sink};
use crate::ffi::{self, entries::Visit};

/// An open array or object.
pub(super) enum Frame<'py> {
    List(Bound<'py, PyList>, usize),
    Tuple(Bound<'py, PyTuple>, usize),
    Iterator(Bound<'py, PyIterator>, bool),
    Dict(DictFrame<'py>),
    Keyed(Box<KeyedFrame<'py>>),
}

impl<'py> Frame<'py> {
    /// Writes scalars up to the next value that is none, and returns that value; `None` once closed.
    ///
    /// # Errors
    /// What user code raises while it is asked for items or keys, and changes to a dict under iteration.
    #[expect(clippy::inline_always, reason = "in the loop over frames")]
    #[inline(always)]
    pub(super) fn advance(&mut self, sink: &mut Sink) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self {
            Frame::List(list, index) => {
                while *index < list.len() {
                    // Another thread may have shortened the list: then it simply ends here, as it does in Python.
                    let Ok(item) = list.get_item(*index) else { break };
                    if *index > 0 {
                        sink.out.push(b',');
                    }
                    *index += 1;
                    if item.is_exact_instance_of::<PyDict>() || !sink.scalar(&item) {
                        return Ok(Some(item));
                    }
                }
                sink.out.push(b']');
                Ok(None)
            }
            Frame::Tuple(tuple, index) => {
                while let Ok(item) = tuple.get_borrowed_item(*index) {
                    if *index > 0 {
                        sink.out.push(b',');
                    }
                    *index += 1;
                    if !sink.scalar(&item) {
                        return Ok(Some(item.to_owned()));
                    }
                }
                sink.out.push(b']');
                Ok(None)
            }
            Frame::Iterator(iterator, started) => {
                for item in iterator.by_ref() {
                    let item = item?;
                    if *started {
                        sink.out.push(b',');
                    }
                    *started = true;
                    if !sink.scalar(&item) {
                        return Ok(Some(item));
                    }
                }
                sink.out.push(b']');
                Ok(None)
            }
            Frame::Dict(frame) => match frame.advance(sink)? {
                Progress::Value(value) => Ok(Some(value)),
                Progress::Closed => Ok(None),
                Progress::KeyChanged(key, value) => {
                    *self = frame.keyed(sink, key)?;
                    Ok(Some(value))
                }
            },
            Frame::Keyed(frame) => frame.advance(sink),
        }
    }
}

pub(super) enum Progress<'py> {
    Value(Bound<'py, PyAny>),
    Closed,
    /// A key that encodes to something else, already encoded, and its value.
    KeyChanged(Bound<'py, PyAny>, Bound<'py, PyAny>),
}

/// What came of a key that is not known.
enum OtherKey<'py> {
    Written,
    /// The entry is left out.
    Hidden,
    /// The key encodes to this.
    Changed(Bound<'py, PyAny>),
}

/// A walk over a `dict` that raises, as Python's does, when the dict changes under it.
struct Items<'py> {
    dict: Bound<'py, PyDict>,
    position: isize,
    size: usize,
    /// How many entries are to come.
    left: usize,
    version: Option<NonZeroU64>,
}

impl<'py> Items<'py> {
    fn new(dict: Bound<'py, PyDict>) -> Self {
        Items { position: 0, size: dict.len(), left: dict.len(), version: ffi::dict_version(&dict), dict }
    }

    fn next(&mut self) -> PyResult<Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)>> {
        self.check_size()?;
        let item = ffi::entries::next_entry(&self.dict, &mut self.position);
        if item.is_some() {
            let Some(left) = self.left.checked_sub(1) else {
                return Err(changed("dictionary keys changed during iteration"));
            };
            self.left = left;
        }
        Ok(item)
    }

    /// Whether there is no entry more, for which the dict must be as it was.
    #[inline]
    fn is_over(&self) -> bool {
        self.left == 0 && self.version.is_some() && self.version == ffi::dict_version(&self.dict)
    }

    #[inline]
    fn check_size(&self) -> PyResult<()> {
        if self.dict.len() == self.size { Ok(()) } else { Err(changed("dictionary changed size during iteration")) }
    }
}

#[cold]
fn changed(message: &'static str) -> PyErr {
    PyRuntimeError::new_err(message)
}

/// An open object whose keys encode to themselves, so that no two can collide.
/// Each of its entries has a comma before it; the first comma becomes the object's brace.
pub(super) struct DictFrame<'py> {
    items: Items<'py>,
    /// Where the object's opening brace is.
    start: usize,
}

/// Where the writing of entries stopped.
#[derive(Clone, Copy)]
enum Stop {
    /// After what should be the last entry.
    Last,
    /// There is no other entry.
    End,
    /// At a key that is not known.
    Key,
    /// At a value that is a scalar, but an unusual one.
    Rare,
    /// At a value that is no scalar.
    Value,
}

impl<'py> DictFrame<'py> {
    /// An object that starts at the end of `sink`.
    #[inline]
    pub(super) fn open(dict: Bound<'py, PyDict>, sink: &Sink) -> Self {
        DictFrame { items: Items::new(dict), start: sink.out.len() }
    }

    #[expect(clippy::inline_always, reason = "the loop that writes nearly everything")]
    #[inline(always)]
    pub(super) fn advance(&mut self, sink: &mut Sink) -> PyResult<Progress<'py>> {
        while !self.items.is_over() {
            self.items.check_size()?;
            let mut left = self.items.left;
            if left == 0 {
                // Looked at while another thread changed it, or a dict without versions.
                self.items.next()?;
                break;
            }
            let mut stop = Stop::End;
            let entry = ffi::entries::visit_entries(&self.items.dict, &mut self.items.position, |key, value| {
                left = left.wrapping_sub(1);
                if !sink.known_key(key) {
                    stop = Stop::Key;
                    return Visit::Take;
                }
                match sink.leaf(value) {
                    Leaf::Written if left > 0 => return Visit::Next,
                    Leaf::Written => {
                        stop = Stop::Last;
                        return Visit::Leave;
                    }
                    Leaf::Rare => stop = Stop::Rare,
                    Leaf::Other => stop = Stop::Value,
                }
                Visit::Take
            });
            self.items.left = left;
            let Some((key, value)) = entry else {
                if let Stop::Last = stop {
                    continue;
                }
                break;
            };
            match stop {
                Stop::Last | Stop::End => {}
                Stop::Rare => {
                    sink.rare(&value);
                    if sink.is_given_up() {
                        return Ok(Progress::Value(value));
                    }
                }
                Stop::Value => return Ok(Progress::Value(value)),
                Stop::Key => match self.other_key(&key, sink)? {
                    OtherKey::Hidden => {}
                    OtherKey::Changed(encoded) => return Ok(Progress::KeyChanged(encoded, value)),
                    OtherKey::Written => {
                        if !sink.scalar(&value) {
                            return Ok(Progress::Value(value));
                        }
                    }
                },
            }
        }
        self.brace(sink);
        sink.out.push(b'}');
        Ok(Progress::Closed)
    }

    /// Makes the first comma the brace.
    #[inline]
    fn brace(&self, sink: &mut Sink) {
        match sink.out.get_mut(self.start) {
            Some(comma) => *comma = b'{',
            None => sink.out.push(b'{'),
        }
    }

    /// Writes a key that `Sink::known_key` did not.
    #[inline(never)]
    fn other_key(&mut self, key: &Bound<'py, PyAny>, sink: &mut Sink) -> PyResult<OtherKey<'py>> {
        let name = key.cast_exact::<PyString>().ok();
        if let Some((name, text)) = name.and_then(|name| Some((name, name.to_str().ok()?))) {
            if text.starts_with(HIDDEN) {
                return Ok(OtherKey::Hidden);
            }
            sink.out.push(b',');
            sink.string(text);
            sink.out.push(b':');
            if let Some(keys) = &mut sink.keys {
                keys.keep(name, text);
            }
            return Ok(OtherKey::Written);
        }
        if is_hidden(key)? {
            return Ok(OtherKey::Hidden);
        }
        if !is_plain(key) {
            let encoded = encode_key(key)?;
            if !encoded.is(key) {
                self.brace(sink);
                return Ok(OtherKey::Changed(encoded));
            }
        }
        sink.out.push(b',');
        sink.key(key)?;
        Ok(OtherKey::Written)
    }

    /// The frame that this one becomes at an entry whose key encodes to `key`.
    #[cold]
    pub(super) fn keyed(&mut self, sink: &mut Sink, key: Bound<'py, PyAny>) -> PyResult<Frame<'py>> {
        Ok(Frame::Keyed(Box::new(self.rebuild(sink, key)?)))
    }

    /// Turns the object, up to the entry before the current one, into one that looks for equal keys.
    #[cold]
    fn rebuild(&mut self, sink: &mut Sink, key: Bound<'py, PyAny>) -> PyResult<KeyedFrame<'py>> {
        let dict = self.items.dict.clone();
        let fresh = Items::new(dict.clone());
        let items = Source::Items(std::mem::replace(&mut self.items, fresh));
        let mut frame = KeyedFrame::new(dict.py(), items, self.start);
        let written = sink.out.get(self.start..).unwrap_or_default();
        for range in entry_values(written) {
            while let Some((written_key, _)) = self.items.next()? {
                if !is_hidden(&written_key)? {
                    frame.place(written_key, self.start + range.start..self.start + range.end, None)?;
                    break;
                }
            }
        }
        frame.pending = Some(Pending { key, start: sink.out.len(), rejected: sink.rejected.take() });
        Ok(frame)
    }
}

/// An open object in which two keys may encode to the same one: the last value wins, in the first one's place.
pub(super) struct KeyedFrame<'py> {
    items: Source<'py>,
    start: usize,
    places: Bound<'py, PyDict>,
    entries: Vec<Entry<'py>>,
    pending: Option<Pending<'py>>,
}

enum Source<'py> {
    Items(Items<'py>),
    /// The items of a subclass of `dict`, and the keys it admits to.
    Pairs(Bound<'py, PyIterator>, Bound<'py, PySet>),
}

struct Entry<'py> {
    key: Bound<'py, PyAny>,
    value: Range<usize>,
    rejected: Option<PyErr>,
}

/// An entry whose value is being written.
struct Pending<'py> {
    key: Bound<'py, PyAny>,
    start: usize,
    /// What was rejected before the value.
    rejected: Option<PyErr>,
}

impl<'py> KeyedFrame<'py> {
    fn new(py: Python<'py>, items: Source<'py>, start: usize) -> Self {
        KeyedFrame { items, start, places: PyDict::new(py), entries: Vec::new(), pending: None }
    }

    /// An object made of what the `keys()` and `items()` of a subclass of `dict` say.
    ///
    /// # Errors
    /// What those methods raise.
    pub(super) fn open(mapping: &Bound<'py, PyAny>, sink: &Sink) -> PyResult<Self> {
        let py = mapping.py();
        let keys = PySet::empty(py)?;
        for key in mapping.call_method0(intern!(py, "keys"))?.try_iter()? {
            keys.add(key?)?;
        }
        let items = mapping.call_method0(intern!(py, "items"))?.try_iter()?;
        Ok(KeyedFrame::new(py, Source::Pairs(items, keys), sink.out.len()))
    }

    fn advance(&mut self, sink: &mut Sink) -> PyResult<Option<Bound<'py, PyAny>>> {
        loop {
            if let Some(pending) = self.pending.take() {
                let rejected = std::mem::replace(&mut sink.rejected, pending.rejected);
                self.place(pending.key, pending.start..sink.out.len(), rejected)?;
            }
            let Some((key, value)) = self.items.next()? else { break };
            if is_hidden(&key)? {
                continue;
            }
            let key = if is_plain(&key) { key } else { encode_key(&key)? };
            self.pending = Some(Pending { key, start: sink.out.len(), rejected: sink.rejected.take() });
            if !sink.scalar(&value) {
                return Ok(Some(value));
            }
        }
        self.close(sink)?;
        Ok(None)
    }

    /// Puts a written value under its key.
    ///
    /// # Errors
    /// `TypeError` if the key is not hashable: a tuple has become a list.
    fn place(&mut self, key: Bound<'py, PyAny>, value: Range<usize>, rejected: Option<PyErr>) -> PyResult<()> {
        let known = match self.places.get_item(&key)? {
            Some(place) => self.entries.get_mut(place.extract::<usize>()?),
            None => None,
        };
        if let Some(entry) = known {
            entry.value = value;
            entry.rejected = rejected;
        } else {
            self.places.set_item(&key, self.entries.len())?;
            self.entries.push(Entry { key, value, rejected });
        }
        Ok(())
    }

    /// Replaces the values written one after the other by the object they form.
    fn close(&mut self, sink: &mut Sink) -> PyResult<()> {
        let values = sink.out.split_off(self.start);
        sink.out.push(b'{');
        for (index, entry) in self.entries.drain(..).enumerate() {
            if index > 0 {
                sink.out.push(b',');
            }
            sink.key(&entry.key)?;
            if sink.rejected.is_none() {
                sink.rejected = entry.rejected;
            }
            let value = entry.value.start - self.start..entry.value.end - self.start;
            sink.out.extend_from_slice(values.get(value).unwrap_or_default());
        }
        sink.out.push(b'}');
        Ok(())
    }
}

impl<'py> Source<'py> {
    fn next(&mut self) -> PyResult<Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)>> {
        match self {
            Source::Items(items) => items.next(),
            Source::Pairs(pairs, keys) => {
                for pair in pairs.by_ref() {
                    let (key, value) = unpack(&pair?)?;
                    if keys.contains(&key)? {
                        return Ok(Some((key, value)));
                    }
                }
                Ok(None)
            }
        }
    }
}

/// What `key, value = pair` does.
fn unpack<'py>(pair: &Bound<'py, PyAny>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let mut parts = pair.try_iter().map_err(|error| no_iterable(pair).unwrap_or(error))?;
    let mut count = 0;
    let mut next = || -> PyResult<Bound<'py, PyAny>> {
        let part = parts
            .next()
            .transpose()?
            .ok_or_else(|| PyValueError::new_err(format!("not enough values to unpack (expected 2, got {count})")))?;
        count += 1;
        Ok(part)
    };
    let unpacked = (next()?, next()?);
    if parts.next().transpose()?.is_some() {
        return Err(too_many(pair));
    }
    Ok(unpacked)
}

/// Python 3.14 also says how many there are, where it knows that without asking for them.
#[cold]
fn too_many(pair: &Bound<'_, PyAny>) -> PyErr {
    let is_counted = pair.is_exact_instance_of::<PyTuple>()
        || pair.is_exact_instance_of::<PyList>()
        || pair.is_exact_instance_of::<PyDict>();
    let got = if is_counted && pair.py().version_info() >= (3, 14) { pair.len().ok() } else { None };
    let got = got.map(|count| format!(", got {count}")).unwrap_or_default();
    PyValueError::new_err(format!("too many values to unpack (expected 2{got})"))
}

/// Unpacking has its own words for what cannot be iterated at all.
#[cold]
fn no_iterable(pair: &Bound<'_, PyAny>) -> Option<PyErr> {
    let class = pair.get_type();
    let iterable = class.hasattr("__iter__").ok()? || class.hasattr("__getitem__").ok()?;
    let name = class.name().ok()?;
    (!iterable).then(|| PyTypeError::new_err(format!("cannot unpack non-iterable {name} object")))
}

/// Whether a key is exactly of a type that encodes to itself and hides nothing.
fn is_plain(key: &Bound<'_, PyAny>) -> bool {
    key.is_exact_instance_of::<PyString>()
        || key.is_exact_instance_of::<PyInt>()
        || key.is_exact_instance_of::<PyFloat>()
        || key.is_exact_instance_of::<PyBool>()
        || key.is_none()
}

/// Whether FastAPI leaves out a key.
fn is_hidden(key: &Bound<'_, PyAny>) -> PyResult<bool> {
    if !key.is_instance_of::<PyString>() {
        return Ok(false);
    }
    key.call_method1(intern!(key.py(), "startswith"), (HIDDEN,))?.is_truthy()
}

/// Where the values of an object's entries are in its text, which lacks only the closing brace.
fn entry_values(text: &[u8]) -> Vec<Range<usize>> {
    let mut values = Vec::new();
    let (mut depth, mut in_string, mut escaped, mut start) = (0_usize, false, false, 0);
    for (index, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b':' if depth == 1 => start = index + 1,
            b',' if depth == 1 => values.push(start..index),
            _ => {}
        }
    }
    if start > 0 {
        values.push(start..text.len());
    }
    values
}
