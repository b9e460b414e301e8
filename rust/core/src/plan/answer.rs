//! What a plan makes of the endpoint's result.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};
use pyo3::{PyTraverseError, PyVisit};

use crate::error::guarded;
use crate::serialize::model::ModelSerializer;

/// What turns the endpoint's result into the response.
#[derive(Debug)]
pub(crate) enum Render {
    /// `JSONResponse` of any object: our encoder.
    Json,
    /// The response model's validator and serializer.
    Model {
        validate: Py<PyAny>,
        to_json: Py<PyAny>,
        /// Keyword names after the value, and their constant values.
        options: Py<PyTuple>,
        values: Vec<Py<PyAny>>,
        /// What writes it without pydantic, for a model whose JSON is known beforehand.
        serializer: Option<Py<ModelSerializer>>,
    },
    /// A text response of Starlette's; what is not a `str` is made by Python.
    Text,
    /// Any other response class: made by Python.
    General,
    /// The endpoint is a handler of the application's own: what it returns is the response.
    Response {
        /// A streaming response is sent from here.
        sends_stream: bool,
    },
    /// The endpoint is a generator, or gives something else that is sent piece by piece: Python calls it with its values.
    Stream {
        /// Its response sends server-sent events.
        is_events: bool,
    },
    /// There is no response, and no call of the endpoint: its arguments are what is wanted.
    Solved {
        /// What the result of each node is cached under.
        keys: Vec<Py<PyAny>>,
    },
    /// There is no response: the endpoint of a websocket has sent what it had to send.
    Nothing,
}

/// The response half of a path operation.
#[pyclass(frozen, module = "ferroapi._core")]
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) render: Render,
    /// The declared status, if any.
    pub(crate) status: Option<u16>,
    pub(crate) content_type: Arc<ContentType>,
}

/// The `content-type` header of a response.
#[derive(Debug)]
pub(crate) struct ContentType {
    /// The pair as an ASGI message has it.
    pub(crate) pair: Py<PyTuple>,
    /// The line as a server writes it; none if a byte of the value must not be written.
    pub(crate) line: Option<Box<[u8]>>,
}

impl ContentType {
    /// The header with this value.
    ///
    /// # Errors
    /// `MemoryError`.
    pub(crate) fn new(py: Python<'_>, value: &[u8]) -> PyResult<Self> {
        let pair = (PyBytes::new(py, b"content-type"), PyBytes::new(py, value)).into_pyobject(py)?.unbind();
        let is_plain = !value.iter().any(u8::is_ascii_control);
        Ok(Self { pair, line: is_plain.then(|| [b"content-type: ", value, b"\r\n"].concat().into()) })
    }
}

impl Answer {
    /// An answer whose content is JSON, where it is written here.
    fn of(py: Python<'_>, render: Render, status: Option<u16>) -> PyResult<Self> {
        Ok(Self { render, status, content_type: Arc::new(ContentType::new(py, b"application/json")?) })
    }
}

#[pymethods]
impl Answer {
    /// FastAPI's `JSONResponse` of any object.
    #[staticmethod]
    #[pyo3(signature = (*, status))]
    fn json(py: Python<'_>, status: Option<u16>) -> PyResult<Self> {
        guarded(|| Self::of(py, Render::Json, status))
    }

    /// The JSON that the serializer of a response model makes of what its validator has made; with a `serializer`, the same
    /// without either.
    #[staticmethod]
    #[pyo3(signature = (*, validate, to_json, options, serializer, status))]
    fn model(
        py: Python<'_>,
        validate: Py<PyAny>,
        to_json: Py<PyAny>,
        options: &Bound<'_, PyDict>,
        serializer: Option<Py<ModelSerializer>>,
        status: Option<u16>,
    ) -> PyResult<Self> {
        let values = options.values().iter().map(Bound::unbind).collect();
        let options = PyTuple::new(py, options.keys())?.unbind();
        guarded(|| Self::of(py, Render::Model { validate, to_json, options, values, serializer }, status))
    }

    /// A text response of Starlette's.
    #[staticmethod]
    #[pyo3(signature = (*, media_type, status))]
    fn text(py: Python<'_>, media_type: &[u8], status: Option<u16>) -> PyResult<Self> {
        guarded(|| Ok(Self { content_type: Arc::new(ContentType::new(py, media_type)?), render: Render::Text, status }))
    }

    /// Any other response, which Python makes.
    #[staticmethod]
    #[pyo3(signature = (*, status))]
    fn general(py: Python<'_>, status: Option<u16>) -> PyResult<Self> {
        guarded(|| Self::of(py, Render::General, status))
    }

    /// The response that the endpoint returns, a handler of the application's own; a stream is sent as FastAPI sends it.
    #[staticmethod]
    #[pyo3(signature = (*, sends_stream))]
    fn response(py: Python<'_>, sends_stream: bool) -> PyResult<Self> {
        guarded(|| Self::of(py, Render::Response { sends_stream }, None))
    }

    /// The response that Python makes of an endpoint that is a stream.
    #[staticmethod]
    #[pyo3(signature = (*, is_events))]
    fn stream(py: Python<'_>, is_events: bool) -> PyResult<Self> {
        guarded(|| Self::of(py, Render::Stream { is_events }, None))
    }

    /// None: the endpoint of a websocket has sent what it had to send.
    #[staticmethod]
    fn nothing(py: Python<'_>) -> PyResult<Self> {
        guarded(|| Self::of(py, Render::Nothing, None))
    }

    /// None: what a request has besides the arguments of the endpoint, which an observer is told; `keys` are what the results
    /// of the nodes are cached under.
    #[staticmethod]
    #[pyo3(signature = (*, keys))]
    fn solved(py: Python<'_>, keys: Vec<Py<PyAny>>) -> PyResult<Self> {
        guarded(|| Self::of(py, Render::Solved { keys }, None))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Render::Solved { keys } = &self.render {
            return keys.iter().try_for_each(|key| visit.call(key));
        }
        let Render::Model { validate, to_json, values, serializer, .. } = &self.render else { return Ok(()) };
        visit.call(validate)?;
        visit.call(to_json)?;
        visit.call(serializer)?;
        values.iter().try_for_each(|value| visit.call(value))
    }
}
