//! The two ends of a request: what a server hands over of it, and where the response goes.

use std::borrow::Cow;

use http::RequestHead;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};
use pyo3::{PyTraverseError, PyVisit};

use crate::entry::Selection;
use crate::response::Ready;
use crate::scope::{Fields, PathParams, Scope, ScopePath, Unusual};

/// What has arrived of a body.
pub(crate) enum Arrival<'py> {
    Body {
        /// Not if it is empty.
        chunk: Option<Bound<'py, PyBytes>>,
        is_last: bool,
    },
    /// The client has left.
    Gone,
    /// Nothing yet.
    Later,
}

/// A server that hands requests over as it has parsed them; `request` is an object of its own.
///
/// What ASGI calls scope, receive and send is made for whoever asks.
pub(crate) trait Server: Sync {
    /// The head of the request.
    fn head<'r>(&self, request: &'r Bound<'_, PyAny>) -> PyResult<&'r RequestHead>;

    /// Note what the scope gets when it is made.
    fn select(&self, request: &Bound<'_, PyAny>, selection: Selection) -> PyResult<Result<(), Unusual>>;

    /// The scope; it is made once.
    fn scope<'py>(&self, request: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>>;

    fn receive<'py>(&self, request: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>>;

    fn send<'py>(&self, request: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>>;

    /// What a call of `receive` would return at once.
    fn arrived<'py>(&self, request: &Bound<'py, PyAny>) -> PyResult<Arrival<'py>>;

    /// Cancel the task that runs when the client leaves; at once if it has left.
    fn watch(&self, request: &Bound<'_, PyAny>) -> PyResult<()>;

    /// Cancel nothing from here on; tell whether the task was cancelled, and for no other reason.
    fn unwatch(&self, request: &Bound<'_, PyAny>) -> PyResult<bool>;

    /// Write a whole response; tell whether that was possible at once.
    ///
    /// # Errors
    /// What a call of `send` would raise for its messages.
    fn write(&self, request: &Bound<'_, PyAny>, response: &Ready) -> PyResult<bool>;
}

/// The connection of one request.
pub(crate) enum Channels {
    Asgi {
        scope: Py<PyDict>,
        receive: Py<PyAny>,
        send: Py<PyAny>,
    },
    /// A request of a server that is asked without messages.
    Direct {
        request: Py<PyAny>,
        server: &'static dyn Server,
    },
}

/// What a request asks for, to be looked up in a table.
pub(crate) struct Target<'a, 'py> {
    path: Path<'a, 'py>,
    pub(crate) method: Bound<'py, PyString>,
}

enum Path<'a, 'py> {
    InScope(ScopePath<'py>),
    Sent(Cow<'a, str>),
}

impl Target<'_, '_> {
    /// The path below that of the application; none if it cannot be looked up.
    pub(crate) fn path(&self) -> Option<&str> {
        match &self.path {
            Path::Sent(path) => Some(path),
            Path::InScope(path) => path.below_application(),
        }
    }
}

impl Channels {
    pub(crate) fn clone_ref(&self, py: Python<'_>) -> Self {
        match self {
            Self::Asgi { scope, receive, send } => {
                Self::Asgi { scope: scope.clone_ref(py), receive: receive.clone_ref(py), send: send.clone_ref(py) }
            }
            Self::Direct { request, server } => Self::Direct { request: request.clone_ref(py), server: *server },
        }
    }

    /// What the request asks for; none if the scope does not say so as servers do.
    ///
    /// # Errors
    /// Those of reading a scope.
    pub(crate) fn target<'a, 'py: 'a>(&'a self, py: Python<'py>) -> PyResult<Option<Target<'a, 'py>>> {
        match self {
            Self::Asgi { scope, .. } => {
                let scope = Scope(scope.bind(py));
                let (Ok(path), Ok(Some(method))) = (scope.path()?, scope.method()?) else { return Ok(None) };
                Ok(Some(Target { path: Path::InScope(path), method }))
            }
            Self::Direct { request, server } => {
                let head = server.head(request.bind(py))?;
                let path = Path::Sent(wire::percent::unquote(head.path()));
                Ok(Some(Target { path, method: method(py, head.method()) }))
            }
        }
    }

    /// The query string and the headers; none if they are not of the types that servers use.
    ///
    /// # Errors
    /// Those of reading a scope.
    pub(crate) fn fields<'a, 'py: 'a>(&'a self, py: Python<'py>) -> PyResult<Option<Fields<'a, 'py>>> {
        match self {
            Self::Asgi { scope, .. } => Scope(scope.bind(py)).fields(),
            Self::Direct { request, server } => server.head(request.bind(py)).map(|head| Some(Fields::Parsed(head))),
        }
    }

    /// The first header of this lower-case name.
    ///
    /// # Errors
    /// Those of reading a scope.
    pub(crate) fn header<'py>(&self, py: Python<'py>, name: &[u8]) -> PyResult<Option<Bound<'py, PyBytes>>> {
        match self {
            Self::Asgi { scope, .. } => Scope(scope.bind(py)).header(name),
            Self::Direct { request, server } => {
                Ok(server.head(request.bind(py))?.header(name).map(|value| PyBytes::new(py, value)))
            }
        }
    }

    /// Put what a route leaves there into the scope, or note it for the scope that somebody may ask for; what is returned
    /// are the path parameters.
    ///
    /// # Errors
    /// Those of changing the scope.
    #[inline]
    pub(crate) fn select<'py>(&self, py: Python<'py>, selection: Selection) -> PyResult<PathParams<'py>> {
        match self {
            Self::Asgi { scope, .. } => selection.apply(scope.bind(py)),
            Self::Direct { request, server } => {
                let own = selection.path_params.as_ref().map(|own| own.bind(py).clone());
                Ok(server.select(request.bind(py), selection)?.map(|()| own))
            }
        }
    }

    pub(crate) fn scope<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        match self {
            Self::Asgi { scope, .. } => Ok(scope.bind(py).clone()),
            Self::Direct { request, server } => server.scope(request.bind(py)),
        }
    }

    pub(crate) fn receive<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Self::Asgi { receive, .. } => Ok(receive.bind(py).clone()),
            Self::Direct { request, server } => server.receive(request.bind(py)),
        }
    }

    pub(crate) fn send<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Self::Asgi { send, .. } => Ok(send.bind(py).clone()),
            Self::Direct { request, server } => server.send(request.bind(py)),
        }
    }

    /// What has arrived of the body without a message being asked for.
    ///
    /// # Errors
    /// Those of the server.
    pub(crate) fn arrived<'py>(&self, py: Python<'py>) -> PyResult<Arrival<'py>> {
        match self {
            Self::Asgi { .. } => Ok(Arrival::Later),
            Self::Direct { request, server } => server.arrived(request.bind(py)),
        }
    }

    /// Write a whole response without messages; tell whether that was possible.
    ///
    /// # Errors
    /// Those of [`Server::write`].
    pub(crate) fn write(&self, py: Python<'_>, response: &Ready) -> PyResult<bool> {
        match self {
            Self::Asgi { .. } => Ok(false),
            Self::Direct { request, server } => server.write(request.bind(py), response),
        }
    }

    pub(crate) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Asgi { scope, receive, send } => {
                visit.call(scope)?;
                visit.call(receive)?;
                visit.call(send)
            }
            Self::Direct { request, .. } => visit.call(request),
        }
    }
}

/// The method as Python has it.
pub(crate) fn method<'py>(py: Python<'py>, method: &[u8]) -> Bound<'py, PyString> {
    match method {
        b"GET" => intern!(py, "GET").clone(),
        b"POST" => intern!(py, "POST").clone(),
        b"PUT" => intern!(py, "PUT").clone(),
        b"DELETE" => intern!(py, "DELETE").clone(),
        b"HEAD" => intern!(py, "HEAD").clone(),
        b"PATCH" => intern!(py, "PATCH").clone(),
        b"OPTIONS" => intern!(py, "OPTIONS").clone(),
        // A token is ASCII.
        _ => PyString::new(py, &String::from_utf8_lossy(method)),
    }
}
