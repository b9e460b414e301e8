//! Any Python value to the JSON bytes of the answer, in one pass: exact type first, then subclass, then fallback.
//! Last step before the response is made; does not validate or filter, and never recurses on the native stack.
//! Source: `jsonable_encoder` of FastAPI, then `JSONResponse.render` of Starlette.
mod container;
mod fallback;
mod keys;
mod scalar;
pub(crate) mod shape;
mod sink;
mod temporal;
mod text;
mod types;

use pyo3::exceptions::PyRecursionError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use smallvec::SmallVec;

use container::{DictFrame, Frame, KeyedFrame};
use fallback::Replacement;
use sink::Sink;

/// Levels of nesting that are accepted whatever Python's recursion limit; Python's own default is the same.
const LEAST_DEPTH: usize = 1000;
/// Room for a small answer, in bytes: what allocators hand out without a search (glibc: up to 1,032).
const FIRST_CAPACITY: usize = 1024;

/// Encodes a value as FastAPI's default response does.
///
/// # Errors
/// What `json.dumps(jsonable_encoder(value), ensure_ascii=False, allow_nan=False).encode()` raises; `RecursionError`
/// for values nested deeper than Python's recursion limit, a value that contains itself among them.
pub(crate) fn encode_json(value: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    let mut out = Vec::with_capacity(FIRST_CAPACITY);
    encode_json_into(value, &mut out)?;
    Ok(out)
}

/// Encodes a value as [`encode_json`] does, at the end of `out`, which is left as it was on error.
///
/// # Errors
/// Those of [`encode_json`].
pub(crate) fn encode_json_into(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> PyResult<()> {
    let start = out.len();
    let mut encoder = Encoder { sink: Sink::new(std::mem::take(out)), frames: SmallVec::new(), objects: 0 };
    let mut result = encoder.run(value);
    if result.is_ok() {
        result = encoder.sink.finish(value.py(), start);
    }
    *out = encoder.sink.out;
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// The text written so far and the arrays and objects that are open.
struct Encoder<'py> {
    sink: Sink,
    frames: SmallVec<[Frame<'py>; 2]>,
    /// How many objects were opened inside others.
    objects: usize,
}

impl<'py> Encoder<'py> {
    fn run(&mut self, value: &Bound<'py, PyAny>) -> PyResult<()> {
        if !self.sink.scalar(value) {
            self.open(value)?;
        }
        while let Some(frame) = self.frames.last_mut() {
            match frame.advance(&mut self.sink)? {
                Some(value) => self.open(&value)?,
                None => {
                    self.frames.pop();
                }
            }
        }
        Ok(())
    }

    /// Writes a value that is no plain scalar, or opens the array or object it is.
    #[inline]
    fn open(&mut self, value: &Bound<'py, PyAny>) -> PyResult<()> {
        if !self.open_exact(value)? {
            self.open_other(value)?;
        }
        Ok(())
    }

    #[inline]
    fn open_exact(&mut self, value: &Bound<'py, PyAny>) -> PyResult<bool> {
        let frame = if let Ok(dict) = value.cast_exact::<PyDict>() {
            if dict.is_empty() {
                self.sink.out.extend_from_slice(b"{}");
                return Ok(true);
            }
            // The second object inside another value is likely to be like the first.
            if self.objects == 1 && self.sink.keys.is_none() {
                self.sink.keys = Some(Box::default());
            }
            self.objects += usize::from(!self.frames.is_empty());
            Frame::Dict(DictFrame::open(dict.clone(), &mut self.sink))
        } else if let Ok(list) = value.cast_exact::<PyList>() {
            if list.is_empty() {
                self.sink.out.extend_from_slice(b"[]");
                return Ok(true);
            }
            self.sink.out.push(b'[');
            Frame::List(list.clone(), 0)
        } else if let Ok(tuple) = value.cast_exact::<PyTuple>() {
            self.sink.out.push(b'[');
            Frame::Tuple(tuple.clone(), 0)
        } else {
            return Ok(false);
        };
        self.push(frame, value.py())?;
        Ok(true)
    }

    #[inline(never)]
    fn open_other(&mut self, value: &Bound<'py, PyAny>) -> PyResult<()> {
        let py = value.py();
        let mut value = value.clone();
        let mut replaced = 0;
        loop {
            let frame = match fallback::replace(&value, &mut self.sink)? {
                Replacement::Written => return Ok(()),
                Replacement::Encoded(encoded) => {
                    self.sink.encoded(&encoded);
                    return Ok(());
                }
                Replacement::Mapping => Frame::Keyed(Box::new(KeyedFrame::open(&value, &self.sink)?)),
                Replacement::Sequence => {
                    let items = value.try_iter()?;
                    self.sink.out.push(b'[');
                    Frame::Iterator(items, false)
                }
                Replacement::Encode(replacement) => {
                    if self.sink.scalar(&replacement) || self.open_exact(&replacement)? {
                        return Ok(());
                    }
                    // A value may stand for itself, again and again.
                    replaced += 1;
                    check_depth(self.frames.len() + replaced, py)?;
                    value = replacement;
                    continue;
                }
            };
            return self.push(frame, py);
        }
    }

    #[inline]
    fn push(&mut self, frame: Frame<'py>, py: Python<'py>) -> PyResult<()> {
        check_depth(self.frames.len(), py)?;
        self.frames.push(frame);
        Ok(())
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
