//! Objects in which two keys may encode to the same one.

use std::ops::Range;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PySet};

use super::fallback::encode_key;
use super::items::{Items, Source, is_hidden, is_scalar};
use super::sink::Sink;

/// An open object in which two keys may encode to the same one: the last value wins, in the first one's place.
pub(super) struct KeyedFrame<'py> {
    items: Source<'py>,
    start: usize,
    places: Bound<'py, PyDict>,
    entries: Vec<Entry<'py>>,
    pending: Option<Pending<'py>>,
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

    /// The rest of an object, of whose text the entries from `start` on are `written`; the next one's key encodes to `key`.
    ///
    /// # Errors
    /// What user code raises while it compares keys, and changes to a dict under iteration.
    pub(super) fn resume(
        (items, written): (Items<'py>, &mut Items<'py>),
        start: usize,
        key: Bound<'py, PyAny>,
        sink: &mut Sink,
    ) -> PyResult<Self> {
        let mut frame = KeyedFrame::new(key.py(), Source::Items(items), start);
        for range in entry_values(sink.out.get(start..).unwrap_or_default()) {
            while let Some((written_key, _)) = written.next()? {
                if !is_hidden(&written_key)? {
                    frame.place(written_key, start + range.start..start + range.end, None)?;
                    break;
                }
            }
        }
        frame.pending = Some(Pending { key, start: sink.out.len(), rejected: sink.rejected.take() });
        Ok(frame)
    }

    pub(super) fn advance(&mut self, sink: &mut Sink) -> PyResult<Option<Bound<'py, PyAny>>> {
        loop {
            if let Some(pending) = self.pending.take() {
                let rejected = std::mem::replace(&mut sink.rejected, pending.rejected);
                self.place(pending.key, pending.start..sink.out.len(), rejected)?;
            }
            let Some((key, value)) = self.items.next()? else { break };
            if is_hidden(&key)? {
                continue;
            }
            let key = if is_scalar(&key) { key } else { encode_key(&key)? };
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
