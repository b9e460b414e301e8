//! The messages between what is below a middleware function and the response: one at a time, as through a stream.
//!
//! The base of `ferroapi._middleware.exchange.Exchange`; nothing waits here, the caller awaits what it is given.
//! Source: Starlette behaviour, the memory stream of `middleware.base.BaseHTTPMiddleware`.

use std::collections::VecDeque;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::{PyTraverseError, PyVisit};

use crate::names;
use crate::respond::message_type;
use crate::steps::{self, Steps};
use crate::stream::Recorder;

/// Who waits for the next message.
enum Wanted {
    Nobody,
    /// Whoever makes the steps of what is below: no future is needed.
    Stepper,
    /// A future, which is resolved when there is one, or when there will be none.
    Future(Py<PyAny>),
}

/// What is there for the receiver.
pub(crate) enum Taken {
    Message(Py<PyAny>),
    /// What is below has to wait for something before.
    Nothing,
    /// There will be none.
    Ended,
    /// The response has been sent: nobody may ask any more.
    Closed,
}

/// What is on its way between the calls of an application below and one response.
#[pyclass(subclass, module = "ferroapi._core")]
pub(crate) struct Messages {
    event_loop: Py<PyAny>,
    /// The calls of what is below.
    runs: Vec<Py<Steps>>,
    /// What was sent and is not taken, each with the future that its sender waits for.
    waiting: VecDeque<(Py<PyAny>, Py<PyAny>)>,
    /// The futures of those whose last message was taken: they go on when the response has been sent.
    finals: Vec<Py<PyAny>>,
    /// What was sent to somebody who waits.
    message: Option<Py<PyAny>>,
    wanted: Wanted,
    /// Resolved when a call is over, for whoever waits for that.
    over: Option<Py<PyAny>>,
    closed: bool,
    sending_closed: bool,
}

#[pymethods]
impl Messages {
    /// No message yet. `application` and `channels` are those of the subclass.
    #[new]
    fn new(application: &Bound<'_, PyAny>, channels: &Bound<'_, PyAny>, event_loop: Py<PyAny>) -> Self {
        let _ = (application, channels);
        Self {
            event_loop,
            runs: Vec::new(),
            waiting: VecDeque::new(),
            finals: Vec::new(),
            message: None,
            wanted: Wanted::Nobody,
            over: None,
            closed: false,
            sending_closed: false,
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.event_loop)?;
        self.runs.iter().try_for_each(|run| visit.call(run))?;
        self.finals.iter().try_for_each(|gate| visit.call(gate))?;
        for (message, gate) in &self.waiting {
            visit.call(message)?;
            visit.call(gate)?;
        }
        if let Wanted::Future(future) = &self.wanted {
            visit.call(future)?;
        }
        visit.call(&self.over)?;
        visit.call(&self.message)
    }

    fn __clear__(&mut self) {
        self.over = None;
        self.runs.clear();
        self.finals.clear();
        self.waiting.clear();
        self.wanted = Wanted::Nobody;
        self.message = None;
    }

    /// The calls of what is below.
    #[getter]
    fn runs(&self, py: Python<'_>) -> Vec<Py<Steps>> {
        self.runs.iter().map(|run| run.clone_ref(py)).collect()
    }

    /// Whether all of them are over.
    #[getter]
    fn have_all_ended(&self, py: Python<'_>) -> bool {
        self.runs.iter().all(|run| run.borrow(py).has_ended())
    }

    /// Whether the response has been sent.
    #[getter]
    fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether a call is over, after which nothing can be sent.
    #[getter]
    fn is_sending_closed(&self) -> bool {
        self.sending_closed
    }

    /// Add a call; its messages come after those that wait.
    fn expect(&mut self, run: Py<Steps>) {
        self.wanted = if self.waiting.is_empty() { Wanted::Stepper } else { Wanted::Nobody };
        self.runs.push(run);
    }

    /// Take a message from what is below; return the future that its sender has to await first, if any.
    ///
    /// # Errors
    /// `anyio.ClosedResourceError` after the end of a call.
    fn pass_on(slf: &Bound<'_, Self>, message: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>> {
        let py = slf.py();
        let wanted = {
            let mut this = slf.borrow_mut();
            if this.sending_closed {
                return Err(PyErr::from_value(names::closed_resource_error(py)?.call0()?));
            }
            if this.closed {
                return Ok(None);
            }
            std::mem::replace(&mut this.wanted, Wanted::Nobody)
        };
        if matches!(wanted, Wanted::Nobody) {
            let gate = slf.borrow().future(py)?;
            slf.borrow_mut().waiting.push_back((message.clone().unbind(), gate.clone_ref(py)));
            return Ok(Some(gate));
        }
        slf.borrow_mut().message = Some(message.clone().unbind());
        if let Wanted::Future(future) = wanted {
            resolve(future.bind(py))?;
        }
        if !is_last(message)? {
            return Ok(None);
        }
        let gate = slf.borrow().future(py)?;
        slf.borrow_mut().finals.push(gate.clone_ref(py));
        Ok(Some(gate))
    }

    /// Return the next message, `None` if what is below has to wait for something before.
    ///
    /// # Errors
    /// `anyio.EndOfStream` if there will be none, `anyio.ClosedResourceError` when the response has been sent.
    fn take(slf: &Bound<'_, Self>) -> PyResult<Option<Py<PyAny>>> {
        let py = slf.py();
        match next(slf)? {
            Taken::Message(message) => Ok(Some(message)),
            Taken::Nothing => Ok(None),
            Taken::Ended => Err(PyErr::from_value(names::end_of_stream(py)?.call0()?)),
            Taken::Closed => Err(PyErr::from_value(names::closed_resource_error(py)?.call0()?)),
        }
    }

    /// Return a future for the next message.
    fn want(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let future = self.future(py)?;
        self.wanted = Wanted::Future(future.clone_ref(py));
        Ok(future)
    }

    /// Return the message that has resolved that future, `None` if there will be none.
    fn arrived(&mut self) -> Option<Py<PyAny>> {
        self.wanted = Wanted::Nobody;
        self.message.take()
    }

    /// Want no message any more.
    fn give_up(&mut self) {
        self.wanted = Wanted::Nobody;
    }

    /// Return a future for the end of a call.
    fn await_end(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let future = self.future(py)?;
        self.over = Some(future.clone_ref(py));
        Ok(future)
    }

    /// Take note that a call of what is below is over: nothing can be sent any more.
    fn note_end(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let (future, over) = {
            let mut this = slf.borrow_mut();
            this.sending_closed = true;
            let future = match &this.wanted {
                Wanted::Future(future) => Some(future.clone_ref(py)),
                _ => None,
            };
            (future, this.over.take())
        };
        [future, over].iter().flatten().try_for_each(|future| resolve(future.bind(py)))
    }

    /// Take note that the response has been sent: no message is needed any more.
    fn close(&mut self) {
        self.closed = true;
    }

    /// Let those who have sent go on, as far as nothing is in the way.
    fn release(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let gates: Vec<Py<PyAny>> = {
            let this = slf.borrow();
            this.finals.iter().chain(this.waiting.iter().map(|(_, gate)| gate)).map(|gate| gate.clone_ref(py)).collect()
        };
        gates.iter().try_for_each(|gate| resolve(gate.bind(py)))
    }

    /// Close, release, and make steps of what is below until something is in the way; tell whether it is over.
    fn settle(slf: &Bound<'_, Self>) -> PyResult<bool> {
        slf.borrow_mut().closed = true;
        Self::release(slf)?;
        while step(slf)? {}
        Ok(slf.borrow().have_all_ended(slf.py()))
    }
}

impl Messages {
    fn future(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.event_loop.call_method0(py, intern!(py, "create_future"))
    }
}

/// The next message; steps are made until there is one.
pub(crate) fn next(messages: &Bound<'_, Messages>) -> PyResult<Taken> {
    let py = messages.py();
    if messages.borrow().closed {
        return Ok(Taken::Closed);
    }
    loop {
        if let Some(message) = messages.borrow_mut().message.take() {
            return Ok(Taken::Message(message));
        }
        let first = messages.borrow_mut().waiting.pop_front();
        if let Some((message, gate)) = first {
            // Its sender was cancelled while it waited.
            if gate.bind(py).call_method0(intern!(py, "cancelled"))?.is_truthy()? {
                continue;
            }
            if is_last(message.bind(py))? {
                messages.borrow_mut().finals.push(gate);
            } else {
                resolve(gate.bind(py))?;
            }
            return Ok(Taken::Message(message));
        }
        if messages.borrow().sending_closed {
            return Ok(Taken::Ended);
        }
        messages.borrow_mut().wanted = Wanted::Stepper;
        if !step(messages)? {
            return Ok(Taken::Nothing);
        }
    }
}

/// Make a step of what is below if nothing is in the way; tell whether one was made.
fn step(messages: &Bound<'_, Messages>) -> PyResult<bool> {
    let mut index = 0;
    loop {
        let Some(run) = messages.borrow().runs.get(index).map(|run| run.clone_ref(messages.py())) else {
            return Ok(false);
        };
        if steps::go_on(run.bind(messages.py()))? {
            return Ok(true);
        }
        index += 1;
    }
}

fn resolve(future: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = future.py();
    if future.call_method0(intern!(py, "done"))?.is_truthy()? {
        return Ok(());
    }
    future.call_method1(intern!(py, "set_result"), (py.None(),)).map(drop)
}

/// Whether nothing of a response comes after a message.
fn is_last(message: &Bound<'_, PyAny>) -> PyResult<bool> {
    let kind = message_type(message)?;
    Ok(kind == "http.response.pathsend" || (kind == "http.response.body" && !has_more(message)?))
}

/// Whether more of the body comes after a message.
pub(crate) fn has_more(message: &Bound<'_, PyAny>) -> PyResult<bool> {
    entry(message, intern!(message.py(), "more_body"))?.map_or(Ok(false), |more| more.is_truthy())
}

/// What a message has under a name.
pub(crate) fn entry<'py>(
    message: &Bound<'py, PyAny>,
    name: &Bound<'py, pyo3::types::PyString>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    if let Ok(message) = message.cast_exact::<PyDict>() {
        return message.get_item(name);
    }
    let value = message.call_method1(intern!(message.py(), "get"), (name,))?;
    Ok((!value.is_none()).then_some(value))
}

/// Send a message: what has to be awaited for it, `None` if it has been sent already.
///
/// A `send` of the engine itself is asked without an awaitable around it.
pub(crate) fn deliver(send: &Bound<'_, PyAny>, message: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>> {
    if let Ok(recorder) = send.cast_exact::<Recorder>() {
        let inner = recorder.get().note(message)?;
        return deliver(inner.bind(send.py()), message);
    }
    if let Ok(messages) = send.cast::<Messages>() {
        return Messages::pass_on(messages, message);
    }
    send.call1((message,)).map(Bound::unbind).map(Some)
}
