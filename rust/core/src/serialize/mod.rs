//! Any Python value to the JSON bytes of the answer, in one pass: exact type first, then subclass, then fallback.
//! Last step before the response is made; does not validate or filter, and never recurses on the native stack.
//! Source: `jsonable_encoder` of FastAPI, then `JSONResponse.render` of Starlette.
mod container;
mod fallback;
mod items;
mod keyed;
mod keys;
pub(crate) mod model;
pub(crate) mod plain;
mod scalar;
mod sink;
mod temporal;
mod text;
mod types;

use pyo3::exceptions::PyRecursionError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use container::{DictFrame, Frame};
use fallback::Replacement;
pub(crate) use items::{Entry, Items};
use keyed::KeyedFrame;
use sink::Sink;
pub(crate) use temporal::{two_digits, write_date, write_time, write_uuid};

/// Levels of nesting that are accepted whatever Python's recursion limit; Python's own default is the same.
const LEAST_DEPTH: usize = 1000;
/// Room for a small answer, in bytes: what allocators hand out without a search (glibc: up to 1,032).
const FIRST_CAPACITY: usize = 1024;
/// Room for objects beside each other, which seldom come alone, in bytes.
const NEXT_CAPACITY: usize = 7 * 1024;

/// Encodes a value as FastAPI's default response does.
///
/// # Errors
/// What `jsonable_encoder(value)` raises; `RecursionError` for values nested deeper than Python's recursion limit, a value
/// that contains itself among them. Inside what the response's `json.dumps(ensure_ascii=False, allow_nan=False)` raises.
#[inline]
pub(crate) fn encode_json(value: &Bound<'_, PyAny>) -> PyResult<PyResult<Vec<u8>>> {
    let mut encoder = Encoder { sink: Sink::new(Vec::with_capacity(FIRST_CAPACITY)), outer: Vec::new(), objects: 0 };
    encoder.run(value)?;
    Ok(encoder.sink.finish(value.py()).map(|()| encoder.sink.out))
}

/// Encodes a value as [`encode_json`] does, but gives nothing if that is longer than `limit`.
///
/// What is written goes beyond the limit by one array or object of scalars at most.
///
/// # Errors
/// Those of [`encode_json`], of which only the first is looked for.
pub(crate) fn encode_json_within(value: &Bound<'_, PyAny>, limit: usize) -> PyResult<Option<Vec<u8>>> {
    let mut encoder = Encoder { sink: Sink::new(Vec::with_capacity(FIRST_CAPACITY)), outer: Vec::new(), objects: 0 };
    encoder.sink.limit = Some(limit);
    encoder.run(value)?;
    encoder.sink.finish(value.py())?;
    let text = encoder.sink.out;
    Ok((text.len() <= limit).then_some(text))
}

/// What came of opening a value.
enum Opened<'py> {
    Written,
    Inside(Frame<'py>),
    /// It is of none of the types that are known.
    Unknown(Bound<'py, PyAny>),
}

/// The text written so far and the arrays and objects that are open around the one that is written.
struct Encoder<'py> {
    sink: Sink,
    outer: Vec<Frame<'py>>,
    /// How many objects were opened inside others.
    objects: usize,
}

impl<'py> Encoder<'py> {
    fn run(&mut self, value: &Bound<'py, PyAny>) -> PyResult<()> {
        if self.sink.scalar(value) {
            return Ok(());
        }
        let Some(mut frame) = self.open(value.clone(), 0)? else { return Ok(()) };
        loop {
            if self.sink.limit.is_some() && self.sink.is_given_up() {
                return Ok(());
            }
            if let Some(value) = frame.advance(&mut self.sink)? {
                if let Some(inner) = self.open(value, self.outer.len() + 1)? {
                    self.outer.push(std::mem::replace(&mut frame, inner));
                }
            } else {
                let Some(outer) = self.outer.pop() else { return Ok(()) };
                // The usual frame is dropped here, and not by a call.
                match std::mem::replace(&mut frame, outer) {
                    Frame::Dict(closed) => drop(closed),
                    closed => drop(closed),
                }
            }
        }
    }

    /// Writes a value that is no plain scalar, or opens the array or object it is, so many levels deep.
    #[expect(clippy::inline_always, reason = "in the loop over frames")]
    #[inline(always)]
    fn open(&mut self, value: Bound<'py, PyAny>, depth: usize) -> PyResult<Option<Frame<'py>>> {
        match self.open_exact(value, depth)? {
            Opened::Written => Ok(None),
            Opened::Inside(frame) => Ok(Some(frame)),
            Opened::Unknown(value) => self.open_other(value, depth),
        }
    }

    /// The same for exactly a `dict`, `list` or `tuple`.
    #[expect(clippy::inline_always, reason = "in the loop over frames")]
    #[inline(always)]
    fn open_exact(&mut self, value: Bound<'py, PyAny>, depth: usize) -> PyResult<Opened<'py>> {
        let py = value.py();
        let frame = if value.is_exact_instance_of::<PyDict>() {
            let dict = value.cast_into::<PyDict>()?;
            if dict.is_empty() {
                self.sink.out.extend_from_slice(b"{}");
                return Ok(Opened::Written);
            }
            // The second object inside another value is likely to be like the first.
            if self.objects == 1 && self.sink.keys.is_none() {
                self.sink.keys = Some(Box::default());
                self.sink.out.reserve(NEXT_CAPACITY);
            }
            self.objects += usize::from(depth > 0);
            Frame::Dict(DictFrame::open(dict, &self.sink))
        } else if value.is_exact_instance_of::<PyList>() {
            let list = value.cast_into::<PyList>()?;
            if list.is_empty() {
                self.sink.out.extend_from_slice(b"[]");
                return Ok(Opened::Written);
            }
            self.sink.out.push(b'[');
            Frame::List(list, 0)
        } else if value.is_exact_instance_of::<PyTuple>() {
            self.sink.out.push(b'[');
            Frame::Tuple(value.cast_into::<PyTuple>()?, 0)
        } else {
            return Ok(Opened::Unknown(value));
        };
        check_depth(depth, py)?;
        Ok(Opened::Inside(frame))
    }

    #[inline(never)]
    fn open_other(&mut self, mut value: Bound<'py, PyAny>, depth: usize) -> PyResult<Option<Frame<'py>>> {
        let py = value.py();
        let mut replaced = 0;
        loop {
            let frame = match fallback::replace(&value, &mut self.sink)? {
                Replacement::Written => return Ok(None),
                Replacement::Encoded(encoded) => {
                    self.sink.encoded(&encoded);
                    return Ok(None);
                }
                Replacement::Mapping => Frame::Keyed(Box::new(KeyedFrame::open(&value, &self.sink)?)),
                Replacement::Sequence => {
                    let items = value.try_iter()?;
                    self.sink.out.push(b'[');
                    Frame::Iterator(items, false)
                }
                Replacement::Encode(replacement) => {
                    if self.sink.scalar(&replacement) {
                        return Ok(None);
                    }
                    match self.open_exact(replacement, depth)? {
                        Opened::Written => return Ok(None),
                        Opened::Inside(frame) => return Ok(Some(frame)),
                        Opened::Unknown(other) => value = other,
                    }
                    // A value may stand for itself, again and again.
                    replaced += 1;
                    check_depth(depth + replaced, py)?;
                    continue;
                }
            };
            check_depth(depth, py)?;
            return Ok(Some(frame));
        }
    }
}

#[inline]
fn check_depth(depth: usize, py: Python<'_>) -> PyResult<()> {
    if depth < LEAST_DEPTH { Ok(()) } else { check_recursion_limit(depth, py) }
}

#[cold]
#[inline(never)]
fn check_recursion_limit(depth: usize, py: Python<'_>) -> PyResult<()> {
    let limit = py.import("sys")?.call_method0(intern!(py, "getrecursionlimit"))?.extract::<usize>()?;
    if depth < limit {
        return Ok(());
    }
    Err(PyRecursionError::new_err("maximum recursion depth exceeded while encoding a response as JSON"))
}
