//! What a streaming response sends: its start, a message for each chunk, and the end.
//!
//! Source: `starlette.responses.StreamingResponse.stream_response`.

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::PyStopAsyncIteration;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView};
use pyo3::{PyTraverseError, PyVisit};

use crate::awaitable::{Awaitable, Next, Run};
use crate::error::{Error, guarded};
use crate::ffi;
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
    /// The iterator over the chunks, once the response has started.
    chunks: Option<Py<PyAny>>,
    stage: Streaming,
}

impl Stream {
    fn begin(&mut self, py: Python<'_>) -> PyResult<Next> {
        self.stage = Streaming::Sending;
        self.send.call1(py, (start_of(self.response.bind(py))?,)).map(Next::Await)
    }

    #[inline]
    fn produce(&mut self, py: Python<'_>) -> PyResult<Next> {
        if self.chunks.is_none() {
            let chunks = self.response.bind(py).getattr(intern!(py, "body_iterator"))?;
            self.chunks = Some(names::aiter(py)?.call1((chunks,))?.unbind());
            // Nothing is noted after the start: the rest need not pass the recorder.
            if let Ok(recorder) = self.send.bind(py).cast_exact::<Recorder>() {
                self.send = recorder.get().send.clone_ref(py);
            }
        }
        let Some(chunks) = &self.chunks else { return Err(Error::Resumed.into()) };
        self.stage = Streaming::Producing;
        let chunks = chunks.bind(py);
        let step = match ffi::async_generator_next(chunks) {
            Some(step) => step?,
            None => names::anext(py)?.call1((chunks,))?,
        };
        Ok(Next::Await(step.unbind()))
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
        let message = part(body, Some(more))?.into_any().unbind();
        Ok(Next::Await(ffi::vectorcall(self.send.bind(py), &[message], None)?.unbind()))
    }
}

impl Run for Stream {
    fn proceed<'py>(&mut self, py: Python<'py>, value: Bound<'py, PyAny>) -> PyResult<Next> {
        match self.stage {
            Streaming::Fresh => self.begin(py),
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
        visit.call(&self.chunks)
    }
}

/// The sending of `response` to `send`: what asks for a chunk and sends it, until there is none left.
#[pyfunction]
pub(crate) fn stream(response: Py<PyAny>, send: Py<PyAny>) -> Awaitable {
    Awaitable::new(Stream { response, send, chunks: None, stage: Streaming::Fresh })
}
