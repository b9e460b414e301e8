//! One message to a `send`: awaited, unless what stands for a middleware function takes it at once.

use std::sync::OnceLock;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::error::guarded;
use crate::stream::Recorder;

/// When the event loop goes round before a message is sent to a middleware function, as it always does in `AnyIO`'s
/// streams.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pause {
    /// A cancel scope is entered: a task that was started inside may end it.
    Always,
    /// Code of the application has run downstream of the middleware function, or in the task of the sender.
    IfAnyIsCancelled,
    /// No such code has run since the last message.
    IfKnown,
}

/// What takes a message at once: what has to be awaited for it, if anything; `None` where `send` is another or has to wait.
pub(crate) type Sender = fn(&Bound<'_, PyAny>, &Bound<'_, PyAny>, Pause) -> Option<PyResult<Option<Py<PyAny>>>>;

/// Lets every message that the running task's call sends from now on wait for its turn.
type TakeTurns = fn(Python<'_>) -> PyResult<()>;

static SENDER: OnceLock<(Sender, TakeTurns)> = OnceLock::new();

/// Ask `sender` for each message from now on.
pub(crate) fn register(sender: Sender, take_turns: TakeTurns) {
    SENDER.get_or_init(|| (sender, take_turns));
}

/// Let every message that the running task's call sends from now on take the turns of the event loop that it takes in
/// `AnyIO`'s streams, whatever stands between it and the middleware function around it.
///
/// # Errors
/// `MemoryError`.
#[pyfunction]
pub(crate) fn take_turns(py: Python<'_>) -> PyResult<()> {
    guarded(|| SENDER.get().map_or(Ok(()), |(_, take_turns)| take_turns(py)))
}

/// Send a message: what has to be awaited for it, `None` if it has been sent already.
///
/// # Errors
/// Whatever the `send` raises that is called.
pub(crate) fn deliver(
    send: &Bound<'_, PyAny>,
    message: &Bound<'_, PyAny>,
    pause: Pause,
) -> PyResult<Option<Py<PyAny>>> {
    if let Ok(recorder) = send.cast_exact::<Recorder>() {
        let inner = recorder.get().note(message)?;
        return deliver(inner.bind(send.py()), message, pause);
    }
    if let Some(sent) = SENDER.get().and_then(|(sender, _)| sender(send, message, pause)) {
        return sent;
    }
    send.call1((message,)).map(Bound::unbind).map(Some)
}

/// Whether more of the body comes after a message.
pub(crate) fn has_more(message: &Bound<'_, PyAny>) -> PyResult<bool> {
    entry(message, intern!(message.py(), "more_body"))?.map_or(Ok(false), |more| more.is_truthy())
}

/// What a message has under a name.
pub(crate) fn entry<'py>(
    message: &Bound<'py, PyAny>,
    name: &Bound<'py, PyString>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    if let Ok(message) = message.cast_exact::<PyDict>() {
        return message.get_item(name);
    }
    let value = message.call_method1(intern!(message.py(), "get"), (name,))?;
    Ok((!value.is_none()).then_some(value))
}
