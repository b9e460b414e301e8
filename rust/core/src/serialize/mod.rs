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

use container::{DictFrame, Frame, KeyedFrame, Progress};
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

/// What came of opening a value.
enum Opened<'py> {
    /// It is written, or a frame goes on with it.
    Done,
    /// It is open, and this value is the next one in it.
    Inside(Bound<'py, PyAny>),
    /// It is of none of the types that are known.
    Unknown,
}

impl<'py> Encoder<'py> {
    fn run(&mut self, value: &Bound<'py, PyAny>) -> PyResult<()> {
        let mut next = if self.sink.scalar(value) { None } else { self.open(value)? };
        loop {
            while let Some(value) = next {
                next = self.open(&value)?;
            }
            let Some(frame) = self.frames.last_mut() else { return Ok(()) };
            next = frame.advance(&mut self.sink)?;
            if next.is_none() {
                self.frames.pop();
            }
        }
    }

    /// Writes a value that is no plain scalar, or opens the array or object it is; returns what is to be opened in it.
    #[inline]
    fn open(&mut self, value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.open_exact(value)? {
            Opened::Done => Ok(None),
            Opened::Inside(inner) => Ok(Some(inner)),
            Opened::Unknown => self.open_other(value),
        }
    }

    #[inline]
    fn open_exact(&mut self, value: &Bound<'py, PyAny>) -> PyResult<Opened<'py>> {
        let frame = if let Ok(dict) = value.cast_exact::<PyDict>() {
            return self.open_dict(dict);
        } else if let Ok(list) = value.cast_exact::<PyList>() {
            if list.is_empty() {
                self.sink.out.extend_from_slice(b"[]");
                return Ok(Opened::Done);
            }
            self.sink.out.push(b'[');
            Frame::List(list.clone(), 0)
        } else if let Ok(tuple) = value.cast_exact::<PyTuple>() {
            self.sink.out.push(b'[');
            Frame::Tuple(tuple.clone(), 0)
        } else {
            return Ok(Opened::Unknown);
        };
        self.push(frame, value.py())?;
        Ok(Opened::Done)
    }

    /// Writes an object up to its first value that is no scalar; one without such a value needs no frame.
    fn open_dict(&mut self, dict: &Bound<'py, PyDict>) -> PyResult<Opened<'py>> {
        if dict.is_empty() {
            self.sink.out.extend_from_slice(b"{}");
            return Ok(Opened::Done);
        }
        // The second object inside another value is likely to be like the first.
        if self.objects == 1 && self.sink.keys.is_none() {
            self.sink.keys = Some(Box::default());
        }
        self.objects += usize::from(!self.frames.is_empty());
        check_depth(self.frames.len(), dict.py())?;
        let mut frame = DictFrame::open(dict.clone(), &mut self.sink);
        match frame.advance(&mut self.sink)? {
            Progress::Closed => Ok(Opened::Done),
            Progress::Value(value) => {
                self.frames.push(Frame::Dict(frame));
                Ok(Opened::Inside(value))
            }
            Progress::KeyChanged(key, value) => {
                let frame = frame.keyed(&mut self.sink, key)?;
                self.frames.push(frame);
                Ok(Opened::Inside(value))
            }
        }
    }

    #[inline(never)]
    fn open_other(&mut self, value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = value.py();
        let mut value = value.clone();
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
                    match self.open_exact(&replacement)? {
                        Opened::Done => return Ok(None),
                        Opened::Inside(inner) => return Ok(Some(inner)),
                        Opened::Unknown => {}
                    }
                    // A value may stand for itself, again and again.
                    replaced += 1;
                    check_depth(self.frames.len() + replaced, py)?;
                    value = replacement;
                    continue;
                }
            };
            return self.push(frame, py).map(|()| None);
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
