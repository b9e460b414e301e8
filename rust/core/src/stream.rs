//! What a streaming response sends: its start, a message for each chunk, and the end.
//!
//! Source: `starlette.responses.StreamingResponse.stream_response`.

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::PyStopAsyncIteration;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView};
use pyo3::{PyTraverseError, PyVisit};

use crate::awaitable::{Awaitable, Next, Run, iterator};
use crate::error::{Error, guarded};
use crate::ffi::{self, Sent};
use crate::names;
use crate::response::{message_type, part, start_of};

/// The `send` that a response object is given, which notes whether the response has started.
#[pyclass(frozen, module = "ferroapi._core")]
pub(crate) struct Recorder {
    send: Py<PyAny>,
    started: AtomicBool,
}

#[pymethods]
impl Recorder {
    #[new]
    pub(crate) fn new(send: Py<PyAny>) -> Self {
        Self { send, started: AtomicBool::new(false) }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.send)
    }

    /// Whether the start of a response has passed.
    #[getter]
    pub(crate) fn has_started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }

    fn __call__<'py>(&self, message: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        guarded(|| self.note(message)?.bind(message.py()).call1((message,)))
    }
}

impl Recorder {
    /// Note what a message means; return the `send` that it goes to.
    pub(crate) fn note(&self, message: &Bound<'_, PyAny>) -> PyResult<&Py<PyAny>> {
        if message_type(message)? == "http.response.start" {
            self.started.store(true, Ordering::Release);
        }
        Ok(&self.send)
    }
}

/// What a stream waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Streaming {
    /// Nothing yet.
    Fresh,
    /// The first chunk, which took a while: the start has not been sent, or has been sent meanwhile.
    Opening,
    /// `send()`: the start, or a chunk.
    Sending,
    /// The next chunk.
    Producing,
    /// `send()`: the end.
    Ending,
}

/// A streaming response on its way.
struct Stream {
    response: Py<PyAny>,
    send: Py<PyAny>,
    /// The iterator over the chunks, once one was asked for.
    chunks: Option<Py<PyAny>>,
    /// What there is before the start is sent.
    first: First,
    stage: Streaming,
}

/// What is known of the first chunk once the start is sent.
enum First {
    Unknown,
    Chunk(Py<PyAny>),
    /// There is none.
    End,
    /// This was raised in its place.
    Failure(PyErr),
}

impl Stream {
    /// Ask for the first chunk before the start is sent: what is raised in its place may still have a status.
    fn open(&mut self, py: Python<'_>) -> PyResult<Next> {
        let chunks = self.response.bind(py).getattr(intern!(py, "body_iterator"))?;
        self.chunks = Some(names::aiter(py)?.call1((chunks,))?.unbind());
        let step = iterator(self.step(py)?)?;
        match ffi::send(&step, py.None().bind(py)) {
            Ok(Sent::Returned(chunk)) => self.first = First::Chunk(chunk.unbind()),
            Ok(Sent::Yielded(pending)) => {
                self.stage = Streaming::Opening;
                let start = start_of(self.response.bind(py))?;
                let waiting = names::first_chunk(py)?.call1((step, pending, &self.send, start))?;
                return Ok(Next::Await(waiting.unbind()));
            }
            Err(error) => self.first = without_chunk(py, error)?,
        }
        self.begin(py)
    }

    /// Go on with the first chunk, or what was raised in its place, and whether the start was sent meanwhile.
    fn opened(&mut self, py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<Next> {
        let (chunk, failure, has_started): (Py<PyAny>, Bound<'_, PyAny>, bool) = value.extract()?;
        self.first =
            if failure.is_none() { First::Chunk(chunk) } else { without_chunk(py, PyErr::from_value(failure))? };
        if has_started { self.produce(py) } else { self.begin(py) }
    }

    fn begin(&mut self, py: Python<'_>) -> PyResult<Next> {
        self.stage = Streaming::Sending;
        self.send.call1(py, (start_of(self.response.bind(py))?,)).map(Next::Await)
    }

    fn step<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let Some(chunks) = &self.chunks else { return Err(Error::Resumed.into()) };
        let chunks = chunks.bind(py);
        match ffi::async_generator_next(chunks) {
            Some(step) => step,
            None => names::anext(py)?.call1((chunks,)),
        }
    }

    #[inline]
    fn produce(&mut self, py: Python<'_>) -> PyResult<Next> {
        match std::mem::replace(&mut self.first, First::Unknown) {
            First::Unknown => {}
            first => return self.produce_first(py, first),
        }
        self.stage = Streaming::Producing;
        Ok(Next::Await(self.step(py)?.unbind()))
    }

    fn produce_first(&mut self, py: Python<'_>, first: First) -> PyResult<Next> {
        // Nothing is noted after the start: the rest need not pass the recorder.
        if let Ok(recorder) = self.send.bind(py).cast_exact::<Recorder>() {
            self.send = recorder.get().send.clone_ref(py);
        }
        match first {
            First::Chunk(chunk) => self.send_chunk(py, chunk.bind(py)),
            First::Failure(error) => Err(error),
            First::End | First::Unknown => self.end(py),
        }
    }

    #[inline]
    fn send_chunk(&mut self, py: Python<'_>, chunk: &Bound<'_, PyAny>) -> PyResult<Next> {
        self.stage = Streaming::Sending;
        if chunk.is_instance_of::<PyBytes>() || chunk.is_instance_of::<PyMemoryView>() {
            return self.send_body(py, chunk, true);
        }
        let charset = self.response.bind(py).getattr(intern!(py, "charset"))?;
        let encoded = chunk.call_method1(intern!(py, "encode"), (charset,))?;
        self.send_body(py, &encoded, true)
    }

    fn end(&mut self, py: Python<'_>) -> PyResult<Next> {
        self.stage = Streaming::Ending;
        self.send_body(py, PyBytes::new(py, b"").as_any(), false)
    }

    #[inline]
    fn send_body(&self, py: Python<'_>, body: &Bound<'_, PyAny>, more: bool) -> PyResult<Next> {
        let message = part(body, more)?.into_any().unbind();
        Ok(Next::Await(ffi::vectorcall(self.send.bind(py), &[message], None)?.unbind()))
    }
}

/// What an exception in place of the first chunk means for a response that has not started.
///
/// # Errors
/// `error` itself if it is an `HTTPException`. Any other breaks the response after its start, as under FastAPI.
fn without_chunk(py: Python<'_>, error: PyErr) -> PyResult<First> {
    if error.is_instance_of::<PyStopAsyncIteration>(py) {
        return Ok(First::End);
    }
    if error.is_instance(py, names::http_exception(py)?) { Err(error) } else { Ok(First::Failure(error)) }
}

impl Run for Stream {
    fn proceed<'py>(&mut self, py: Python<'py>, value: Bound<'py, PyAny>) -> PyResult<Next> {
        match self.stage {
            Streaming::Fresh => self.open(py),
            Streaming::Opening => self.opened(py, &value),
            Streaming::Sending => self.produce(py),
            Streaming::Producing => self.send_chunk(py, &value),
            Streaming::Ending => Ok(Next::Done(py.None())),
        }
    }

    fn recover(&mut self, py: Python<'_>, error: PyErr) -> PyResult<Next> {
        let is_end = self.stage == Streaming::Producing && error.is_instance_of::<PyStopAsyncIteration>(py);
        if is_end { self.end(py) } else { Err(error) }
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.response)?;
        visit.call(&self.send)?;
        visit.call(&self.chunks)?;
        match &self.first {
            First::Chunk(chunk) => visit.call(chunk),
            First::Unknown | First::End | First::Failure(_) => Ok(()),
        }
    }
}

/// The sending of `response` to `send`: what asks for a chunk and sends it, until there is none left.
#[pyfunction]
pub(crate) fn stream(response: Py<PyAny>, send: Py<PyAny>) -> Awaitable {
    Awaitable::new(Stream { response, send, chunks: None, first: First::Unknown, stage: Streaming::Fresh })
}
