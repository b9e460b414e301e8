//! Arrays and objects that are open: where each stands, and what it writes next.
//! Frames live on the encoder's own stack, so nesting costs no native stack and items are fetched one at a time.
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyIterator, PyList, PyString, PyTuple};

use super::fallback::encode_key;
use super::items::{Items, is_hidden, is_scalar};
use super::keyed::KeyedFrame;
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
    /// After the last entry, or where there is none.
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
        while !self.items.is_over()? {
            let is_as_counted = self.items.is_as_counted();
            let mut left = self.items.left;
            let mut stop = Stop::End;
            let entry = ffi::entries::visit_entries(&self.items.dict, &mut self.items.position, |key, value| {
                left = left.wrapping_sub(1);
                if !sink.known_key(key) {
                    stop = Stop::Key;
                    return Visit::Take;
                }
                match sink.leaf(value) {
                    Leaf::Written if left > 0 => return Visit::Next,
                    Leaf::Written => return Visit::Leave,
                    Leaf::Rare => stop = Stop::Rare,
                    Leaf::Other => stop = Stop::Value,
                }
                Visit::Take
            });
            self.items.left = left;
            let Some((key, value)) = entry else {
                if left > 0 || is_as_counted {
                    break;
                }
                continue;
            };
            match stop {
                Stop::End => {}
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
        if !is_scalar(key) {
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
        let written = Items::new(self.items.dict.clone());
        let items = std::mem::replace(&mut self.items, written);
        let resumed = KeyedFrame::resume((items, &mut self.items), self.start, key, sink)?;
        Ok(Frame::Keyed(Box::new(resumed)))
    }
}
