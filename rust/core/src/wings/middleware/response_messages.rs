//! The messages between what is downstream a middleware function and the response: one at a time, as through a stream.
//!
//! The base of `ferroapi._middleware.call_next.CallNext`; nothing waits here, the caller awaits what it is given.
//! Source: Starlette behaviour, the memory stream of `middleware.base.BaseHTTPMiddleware`.

pub(super) mod cancelling;
mod passing;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::{PyTraverseError, PyVisit};

use super::loop_turn::LoopTurn;
use super::running_task;
use super::stepped_task::SteppedTask;
use crate::awaitable::ask_task;
use crate::error::guarded;
use crate::ffi::locked::Locked;
use crate::names;
use crate::response::message_type;
use crate::send::{self, Pause};

/// Who waits for the next message.
#[derive(Default)]
enum Wanted {
    #[default]
    Nobody,
    /// Whoever makes the steps of what is downstream: no future is needed.
    Stepper,
    /// A future, which is resolved when there is one, or when there will be none.
    Future(Py<PyAny>),
}

/// What becomes of a message that is sent.
enum Sent {
    /// A call is over.
    TooLate,
    /// The response has been sent.
    Unneeded,
    /// Nobody waits for it yet.
    Early,
    /// Somebody waits.
    Wanted(Wanted),
}

/// What is there for the receiver.
pub(crate) enum Taken {
    Message(Py<PyAny>),
    /// Something has to be awaited before.
    Nothing,
    /// There will be none.
    Ended,
    /// The response has been sent: nobody may ask any more.
    Closed,
}

/// What is on its way between the calls of an application downstream and one response.
#[pyclass(frozen, subclass, module = "ferroapi._core")]
pub(crate) struct ResponseMessages {
    event_loop: Py<PyAny>,
    /// The task of the middleware function.
    host: Py<PyAny>,
    /// The call that the middleware function is part of, where it is downstream of another one.
    outer: Option<Py<SteppedTask>>,
    /// Whether a cancellation was asked for: from then on, every message takes its turns of the event loop.
    disturbed: AtomicBool,
    /// The turn of the loop that this one has begun in, unless another function is around it.
    turn: Option<LoopTurn>,
    state: Locked<State>,
}

/// How far the response is.
#[derive(Default, PartialEq)]
enum Response {
    #[default]
    Open,
    Sent,
    /// It was sent before the first of several calls was over. Under Starlette that is over a turn of the event loop later
    /// than here: what the others send until then is not needed, and no error.
    SentFirst,
}

/// A message that was sent before somebody waited for it.
struct Waiting {
    message: Py<PyAny>,
    /// The future that its sender waits for.
    turn: Py<PyAny>,
    /// Whether the sender goes on when it is taken, even if it is the last one: it waits for the end itself.
    is_exact: bool,
}

#[derive(Default)]
struct State {
    /// The calls of what is downstream.
    calls: Vec<Py<SteppedTask>>,
    /// What was sent and is not taken.
    waiting: VecDeque<Waiting>,
    /// The futures of those whose last message was taken: they go on when the response has been sent.
    finals: Vec<Py<PyAny>>,
    /// What was sent to somebody who waits.
    message: Option<Py<PyAny>>,
    wanted: Wanted,
    /// Resolved when a call is over, for whoever waits for that.
    over: Option<Py<PyAny>>,
    response: Response,
    sending_closed: bool,
    /// How many calls have ended by something else than an `Exception`, of which the task group does not know yet.
    escaping: usize,
    /// Whether the middleware function was about to be cancelled when it called what is downstream.
    was_cancelling: bool,
}

#[pymethods]
impl ResponseMessages {
    /// No message yet, in the task that calls now. `application` and `channels` are those of the subclass.
    #[new]
    fn new(
        application: &Bound<'_, PyAny>,
        channels: &Bound<'_, PyAny>,
        event_loop: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let _ = (application, channels);
        let host = running_task::of(event_loop)?;
        let outer = host.as_ref().map_or(Ok(None), steps_of)?;
        let is_outermost = outer.as_ref().is_none_or(|outer| outer.get().caller(event_loop.py()).is_none());
        let turn = is_outermost.then(|| LoopTurn::new(event_loop)).transpose()?;
        Ok(Self {
            event_loop: event_loop.clone().unbind(),
            host: host.map_or_else(|| event_loop.py().None(), Bound::unbind),
            outer,
            disturbed: AtomicBool::new(false),
            turn,
            state: Locked::default(),
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.event_loop)?;
        visit.call(&self.host)?;
        visit.call(&self.outer)?;
        self.turn.as_ref().map_or(Ok(()), |turn| turn.visit(&visit))?;
        self.state.visit(&visit, |state| {
            state.calls.iter().try_for_each(|call| visit.call(call))?;
            state.finals.iter().try_for_each(|turn| visit.call(turn))?;
            for Waiting { message, turn, .. } in &state.waiting {
                visit.call(message)?;
                visit.call(turn)?;
            }
            if let Wanted::Future(future) = &state.wanted {
                visit.call(future)?;
            }
            visit.call(&state.over)?;
            visit.call(&state.message)
        })
    }

    fn __clear__(&self, py: Python<'_>) {
        if let Some(turn) = &self.turn {
            turn.clear(py);
        }
        drop(self.state.replace(py, State::default()));
    }

    /// The task of the middleware function.
    #[getter]
    fn host(&self, py: Python<'_>) -> Py<PyAny> {
        self.host.clone_ref(py)
    }

    /// Whether the event loop has to go round before the first message of a call is taken: the middleware function is
    /// about to be cancelled. In `AnyIO`'s streams it always does, but then before what is downstream begins.
    #[getter]
    fn is_waiting_interrupted(&self, py: Python<'_>) -> PyResult<bool> {
        guarded(|| Ok(self.is_escaping(py) || self.is_host_cancelling(py)?))
    }

    /// Whether it has to before another message is taken, or one is sent, as it always does in `AnyIO`'s streams:
    /// somebody is about to be cancelled, or was.
    #[getter]
    fn is_passing_interrupted(&self, py: Python<'_>) -> PyResult<bool> {
        guarded(|| self.is_late(py, Pause::IfAnyIsCancelled))
    }

    /// Whether a call has ended by something else than an `Exception`, of which the task group does not know yet.
    #[getter]
    fn is_escaping(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.escaping > 0)
    }

    /// Take note that a call has ended by something else than an `Exception`.
    fn begin_escape(&self, py: Python<'_>) {
        self.state.with(py, |state| state.escaping += 1);
    }

    /// Take note that the task group would know now.
    fn end_escape(&self, py: Python<'_>) {
        self.state.with(py, |state| state.escaping = state.escaping.saturating_sub(1));
    }

    /// The calls of what is downstream.
    #[getter]
    fn calls(&self, py: Python<'_>) -> Vec<Py<SteppedTask>> {
        self.state.with(py, |state| state.calls.iter().map(|call| call.clone_ref(py)).collect())
    }

    /// Whether all of them are over.
    #[getter]
    fn have_all_ended(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.calls.iter().all(|call| call.get().has_ended(py)))
    }

    /// Whether the response has been sent.
    #[getter]
    fn is_closed(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.response != Response::Open)
    }

    /// Whether a call is over, after which nothing can be sent.
    #[getter]
    fn is_sending_closed(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.sending_closed)
    }

    /// Add a call; its messages come after those that wait.
    fn expect(slf: &Bound<'_, Self>, call: &Bound<'_, SteppedTask>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        let is_cancelling = guarded(|| this.is_host_cancelling(slf.py()))?;
        if let Some(outer) = &this.outer {
            outer.get().note_calls(py, slf.as_any());
        }
        if is_cancelling {
            // It is cancelled in its turn, with the middleware function.
            call.get().begin_cancellation(py);
        }
        drop(this.state.with(py, |state| {
            state.was_cancelling = is_cancelling;
            state.calls.push(call.clone().unbind());
            let wanted = if state.waiting.is_empty() { Wanted::Stepper } else { Wanted::Nobody };
            std::mem::replace(&mut state.wanted, wanted)
        }));
        Ok(())
    }

    /// Whether every message takes the turns of the event loop that it takes in `AnyIO`'s streams.
    #[getter]
    fn is_disturbed(&self) -> bool {
        self.disturbed.load(Ordering::Relaxed)
    }

    /// Take note that a call begins, of whose task the event loop was told last; tell whether it waits for its turn.
    fn note_task(&self, py: Python<'_>) -> PyResult<bool> {
        guarded(|| {
            self.with_turn(py, |turn| turn.note_task(py))?;
            // The task of the middleware function was asked by `expect`, and no code of others has run since.
            self.is_begun_disturbed(py)
        })
    }

    /// Whether the event loop will call something before what is begun by hand goes on, besides timers: something that it
    /// was told to call, or a task that is cancelled.
    #[getter]
    fn has_more_to_do(&self, py: Python<'_>) -> PyResult<bool> {
        guarded(|| self.is_loop_behind(py))
    }

    /// Take a message from what is downstream; return the future that its sender has to await first, if any.
    ///
    /// The sender of the last message goes on when the response has been sent; where it `is_exact` when it is taken.
    ///
    /// # Errors
    /// `anyio.ClosedResourceError` after the end of a call.
    #[pyo3(signature = (message, *, is_exact=false))]
    fn pass_on(&self, message: &Bound<'_, PyAny>, is_exact: bool) -> PyResult<Option<Py<PyAny>>> {
        guarded(|| self.take_in(message, is_exact))
    }

    /// Tell whether nothing of a response comes after a message.
    #[staticmethod]
    #[pyo3(name = "is_last")]
    fn is_last_message(message: &Bound<'_, PyAny>) -> PyResult<bool> {
        guarded(|| is_last(message))
    }

    /// Take back the message whose sender waits for this future; tell whether it had not been taken.
    fn take_back(&self, turn: &Bound<'_, PyAny>) -> bool {
        let left = self.state.with(turn.py(), |state| {
            let place = state.waiting.iter().position(|waiting| waiting.turn.is(turn))?;
            state.waiting.remove(place)
        });
        left.is_some()
    }

    /// Return a future for the time when the response has been sent.
    fn await_close(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let future = guarded(|| self.future(py))?;
        let waits = future.clone_ref(py);
        self.state.with(py, |state| state.finals.push(waits));
        Ok(future)
    }

    /// Return the first message of a call, `None` if something has to be awaited before.
    ///
    /// # Errors
    /// Those of `take`.
    fn take_first(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        // What has escaped since is known to the task group only after the end of the messages.
        guarded(|| if self.state.with(py, |state| state.was_cancelling) { Ok(None) } else { taken(py, self.next(py)?) })
    }

    /// Return the next message, `None` if what is downstream has to wait for something before.
    ///
    /// # Errors
    /// `anyio.EndOfStream` if there will be none, `anyio.ClosedResourceError` when the response has been sent.
    fn take(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        guarded(|| taken(py, self.next(py)?))
    }

    /// Return a future for the next message.
    fn want(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let future = guarded(|| self.future(py))?;
        let wanted = Wanted::Future(future.clone_ref(py));
        drop(self.state.with(py, |state| std::mem::replace(&mut state.wanted, wanted)));
        Ok(future)
    }

    /// Return the message that has resolved that future, `None` if there will be none.
    fn arrived(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let (message, wanted) = self.state.with(py, |state| (state.message.take(), std::mem::take(&mut state.wanted)));
        drop(wanted);
        message
    }

    /// Want no message any more.
    fn give_up(&self, py: Python<'_>) {
        drop(self.state.with(py, |state| std::mem::take(&mut state.wanted)));
    }

    /// Return a future for the end of a call.
    fn await_end(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let future = guarded(|| self.future(py))?;
        drop(self.state.with(py, |state| state.over.replace(future.clone_ref(py))));
        Ok(future)
    }

    /// Take note that a call of what is downstream is over: nothing can be sent any more.
    fn note_end(&self, py: Python<'_>) -> PyResult<()> {
        let (future, over) = self.state.with(py, |state| {
            state.sending_closed = true;
            let future = match &state.wanted {
                Wanted::Future(future) => Some(future.clone_ref(py)),
                Wanted::Nobody | Wanted::Stepper => None,
            };
            (future, state.over.take())
        });
        guarded(|| [future, over].iter().flatten().try_for_each(|future| resolve(future.bind(py)).map(drop)))
    }

    /// Take note that the response has been sent: no message is needed any more.
    fn close(&self, py: Python<'_>) {
        self.state.with(py, |state| {
            if state.response == Response::Open {
                let is_first = !state.sending_closed && state.calls.len() > 1;
                state.response = if is_first { Response::SentFirst } else { Response::Sent };
            }
        });
    }

    /// Let those who have sent go on, as far as nothing is in the way.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        let turns: Vec<Py<PyAny>> = self.state.with(py, |state| {
            state
                .finals
                .iter()
                .chain(state.waiting.iter().map(|waiting| &waiting.turn))
                .map(|turn| turn.clone_ref(py))
                .collect()
        });
        guarded(|| turns.iter().try_for_each(|turn| resolve(turn.bind(py)).map(drop)))
    }

    /// Close, release, and make steps of what is downstream until something is in the way; tell whether it is over.
    fn settle(&self, py: Python<'_>) -> PyResult<bool> {
        guarded(|| {
            self.close(py);
            self.release(py)?;
            while self.step(py)? {}
            Ok(self.have_all_ended(py))
        })
    }
}

/// The call that a task makes the steps of.
fn steps_of(task: &Bound<'_, PyAny>) -> PyResult<Option<Py<SteppedTask>>> {
    static METHOD: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let coroutine = ask_task(task, intern!(task.py(), "get_coro"), &METHOD)?;
    Ok(coroutine.cast::<SteppedTask>().ok().map(|steps| steps.clone().unbind()))
}

/// What of this Python is given, where it is not raised.
fn taken(py: Python<'_>, taken: Taken) -> PyResult<Option<Py<PyAny>>> {
    match taken {
        Taken::Message(message) => Ok(Some(message)),
        Taken::Nothing => Ok(None),
        Taken::Ended => Err(PyErr::from_value(names::end_of_stream(py)?.call0()?)),
        Taken::Closed => Err(PyErr::from_value(names::closed_resource_error(py)?.call0()?)),
    }
}

/// Let whoever waits for a future go on, unless something else does so already: tell whether this does.
fn resolve(future: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = future.py();
    if future.call_method0(intern!(py, "done"))?.is_truthy()? {
        return Ok(false);
    }
    future.call_method1(intern!(py, "set_result"), (py.None(),)).map(|_| true)
}

/// Whether nothing of a response comes after a message.
fn is_last(message: &Bound<'_, PyAny>) -> PyResult<bool> {
    let kind = message_type(message)?;
    Ok(kind == "http.response.pathsend" || (kind == "http.response.body" && !send::has_more(message)?))
}

/// Send a message to `send`, if it is one of these: what has to be awaited for it, `None` if it has been sent already.
pub(super) fn send_directly(
    send: &Bound<'_, PyAny>,
    message: &Bound<'_, PyAny>,
    pause: Pause,
) -> Option<PyResult<Option<Py<PyAny>>>> {
    let messages = send.cast::<ResponseMessages>().ok()?.get();
    match messages.is_late(send.py(), pause) {
        Ok(true) => None,
        Ok(false) => Some(messages.take_in(message, false)),
        Err(error) => Some(Err(error)),
    }
}
