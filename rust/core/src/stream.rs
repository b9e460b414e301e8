//! What a streaming response sends: its start, a message for each chunk, and the end.
//!
//! Source: `starlette.responses.StreamingResponse.stream_response`.

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::PyStopAsyncIteration;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView};
use pyo3::{PyTraverseError, PyVisit};

use crate::awaitable::{Input, Outcome, close, resume, start, yielded};
use crate::error::Error;
use crate::ffi::{self, Sent};
use crate::names;
use crate::respond::{message_type, part, start_of};

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

    /// Whether the start of a response has passed.
    #[getter]
    pub(crate) fn has_started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }

    fn __call__<'py>(&self, message: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.note(message)?.bind(message.py()).call1((message,))
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
enum Stage {
    /// Nothing yet.
    Fresh,
    /// `send()`: the start, or a chunk.
    Sending,
    /// The next chunk.
    Producing,
    /// `send()`: the end.
    Ending,
    /// Nothing any more.
    Finished,
}

/// A streaming response on its way: an awaitable that asks for a chunk and sends it, until there is none left.
#[pyclass(module = "ferroapi._core")]
pub(crate) struct Stream {
    response: Py<PyAny>,
    send: Py<PyAny>,
    /// The iterator over the chunks, once the response has started.
    chunks: Option<Py<PyAny>>,
    stage: Stage,
    awaiting: Option<Py<PyAny>>,
}

impl Stream {
    /// Run until something suspends, or all is sent.
    fn advance<'py>(&mut self, py: Python<'py>, input: Input<'py>) -> PyResult<Outcome<'py>> {
        let mut sent = match (self.awaiting.take(), input) {
            (Some(awaiting), input) => {
                let awaiting = awaiting.into_bound(py);
                resume(&awaiting, input).map(|sent| (sent, awaiting))
            }
            (None, Input::Value(_)) if self.stage == Stage::Fresh => self.begin(py),
            (None, Input::Error(error)) => Err(error),
            (None, Input::Value(_)) => return Err(Error::Resumed.into()),
        };
        loop {
            sent = match sent {
                Ok((Sent::Returned(value), _)) => match self.stage {
                    Stage::Sending => self.produce(py),
                    Stage::Producing => self.send_chunk(py, &value),
                    Stage::Ending => {
                        self.stage = Stage::Finished;
                        return Ok(Outcome::Returned(py.None()));
                    }
                    Stage::Fresh | Stage::Finished => return Err(Error::Resumed.into()),
                },
                Ok((Sent::Yielded(object), awaiting)) => {
                    self.awaiting = Some(awaiting.unbind());
                    return Ok(Outcome::Yielded(object));
                }
                Err(stop) if self.stage == Stage::Producing && stop.is_instance_of::<PyStopAsyncIteration>(py) => {
                    self.end(py)
                }
                Err(error) => {
                    self.stage = Stage::Finished;
                    return Err(error);
                }
            };
        }
    }

    fn begin<'py>(&mut self, py: Python<'py>) -> PyResult<(Sent<'py>, Bound<'py, PyAny>)> {
        self.stage = Stage::Sending;
        start(self.send.bind(py).call1((start_of(self.response.bind(py))?,))?)
    }

    #[inline]
    fn produce<'py>(&mut self, py: Python<'py>) -> PyResult<(Sent<'py>, Bound<'py, PyAny>)> {
        if self.chunks.is_none() {
            let chunks = self.response.bind(py).getattr(intern!(py, "body_iterator"))?;
            self.chunks = Some(names::aiter(py)?.call1((chunks,))?.unbind());
            // Nothing is noted after the start: the rest need not pass the recorder.
            if let Ok(recorder) = self.send.bind(py).cast_exact::<Recorder>() {
                self.send = recorder.get().send.clone_ref(py);
            }
        }
        let Some(chunks) = &self.chunks else { return Err(Error::Resumed.into()) };
        self.stage = Stage::Producing;
        let chunks = chunks.bind(py);
        start(match ffi::async_generator_next(chunks) {
            Some(step) => step?,
            None => names::anext(py)?.call1((chunks,))?,
        })
    }

    #[inline]
    fn send_chunk<'py>(
        &mut self,
        py: Python<'py>,
        chunk: &Bound<'py, PyAny>,
    ) -> PyResult<(Sent<'py>, Bound<'py, PyAny>)> {
        self.stage = Stage::Sending;
        if chunk.is_instance_of::<PyBytes>() || chunk.is_instance_of::<PyMemoryView>() {
            return self.send_body(py, chunk, true);
        }
        let charset = self.response.bind(py).getattr(intern!(py, "charset"))?;
        let encoded = chunk.call_method1(intern!(py, "encode"), (charset,))?;
        self.send_body(py, &encoded, true)
    }

    fn end<'py>(&mut self, py: Python<'py>) -> PyResult<(Sent<'py>, Bound<'py, PyAny>)> {
        self.stage = Stage::Ending;
        self.send_body(py, PyBytes::new(py, b"").as_any(), false)
    }

    #[inline]
    fn send_body<'py>(
        &self,
        py: Python<'py>,
        body: &Bound<'py, PyAny>,
        more: bool,
    ) -> PyResult<(Sent<'py>, Bound<'py, PyAny>)> {
        let message = part(body, more)?.into_any().unbind();
        start(ffi::vectorcall(self.send.bind(py), &[message], None)?)
    }
}

#[pymethods]
impl Stream {
    /// The sending of `response` to `send`.
    #[new]
    fn new(response: Py<PyAny>, send: Py<PyAny>) -> Self {
        Self { response, send, chunks: None, stage: Stage::Fresh, awaiting: None }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.response)?;
        visit.call(&self.send)?;
        visit.call(&self.chunks)?;
        visit.call(&self.awaiting)
    }

    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(match self.advance(py, Input::Value(py.None().into_bound(py)))? {
            Outcome::Yielded(object) => Some(object),
            Outcome::Returned(_) => None,
        })
    }

    fn send<'py>(&mut self, py: Python<'py>, value: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.advance(py, Input::Value(value)).and_then(yielded)
    }

    #[pyo3(signature = (kind, value=None, _traceback=None))]
    fn throw<'py>(
        &mut self,
        py: Python<'py>,
        kind: Bound<'py, PyAny>,
        value: Option<Bound<'py, PyAny>>,
        _traceback: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let input = Input::thrown(kind, value)?;
        self.advance(py, input).and_then(yielded)
    }

    fn close(&mut self, py: Python<'_>) -> PyResult<()> {
        self.stage = Stage::Finished;
        self.awaiting.take().map_or(Ok(()), |awaiting| close(awaiting.bind(py)))
    }
}
