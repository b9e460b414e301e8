//! What a connection consists of: itself, the request under way, and the call of the application, which hold each other.
//!
//! Only the data; the other files of this folder say what is done with it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::{Connection, RequestHead, ResponseBody};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::settings::Settings;
use crate::entry::Selection;
#[cfg(reused_tasks)]
use crate::ffi::kept::Fields;
use crate::ffi::locked::Locked;

/// Bytes of a body, of requests that wait, or of an answer, at which the other side is held up.
pub(super) const HIGH_WATER: usize = 65_536;

/// What of a connection changes.
pub(super) struct State {
    pub(super) transport: Option<Py<PyAny>>,
    /// The transport's method.
    pub(super) write: Option<Py<PyAny>>,
    pub(super) template: Option<Py<PyDict>>,
    /// The hosts whose proxy headers are believed, if the client is one of them.
    pub(super) trusted_hosts: Option<Py<PyAny>>,
    /// The context of the connection, of which each request gets a copy.
    pub(super) context: Option<Py<PyAny>>,
    pub(super) ws_protocol_class: Py<PyAny>,
    pub(super) reader: Connection,
    /// Bytes that are not read yet.
    pub(super) pending: Vec<u8>,
    pub(super) current: Option<Py<Exchange>>,
    pub(super) output: Vec<u8>,
    /// How many steps are being made, at whose end the output is written.
    pub(super) steps: usize,
    pub(super) is_reading_paused: bool,
    pub(super) processing: Processing,
    pub(super) is_closing: bool,
    /// Whether the requests that have arrived are the last ones.
    pub(super) is_ending: bool,
    /// Resolved when the client has read enough.
    pub(super) drained: Option<Py<PyAny>>,
    pub(super) deadline: Option<Deadline>,
    /// The loop's timer, and the deadline that it was made for.
    pub(super) timer: Option<(Py<PyAny>, Deadline)>,
}

impl State {
    /// Whether a request is not answered yet.
    pub(super) fn is_busy(&self) -> bool {
        self.current.as_ref().is_some_and(|exchange| !exchange.get().is_complete.load(Ordering::Relaxed))
    }

    /// Take note that nothing more is read; tell whether that was so before.
    pub(super) fn close(&mut self) -> bool {
        self.deadline = None;
        std::mem::replace(&mut self.is_closing, true)
    }
}

/// An HTTP/1.1 connection of uvicorn's.
#[pyclass(frozen, subclass, module = "ferroapi._core")]
pub(crate) struct HTTPProtocol {
    pub(super) settings: Settings,
    pub(super) event_loop: Py<PyAny>,
    /// The loop's method of this name, if it has one.
    pub(super) get_task_factory: Option<Py<PyAny>>,
    /// How long a head may take from its first byte to its last.
    pub(super) head_time: Duration,
    pub(super) state: Locked<State>,
    pub(super) is_write_paused: AtomicBool,
    /// A task that can serve the next request.
    #[cfg(reused_tasks)]
    pub(super) spare: Locked<Option<Spare>>,
    /// Whether a task is worth keeping for the next request.
    #[cfg(all(Py_3_12, reused_tasks))]
    pub(super) habit: Locked<Habit>,
}

/// Until when something has to happen, else the connection is closed.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Deadline {
    /// The next request.
    KeepAlive(Instant),
    /// The rest of a head.
    Head(Instant),
}

impl Deadline {
    pub(super) fn at(self) -> Instant {
        match self {
            Self::KeepAlive(at) | Self::Head(at) => at,
        }
    }
}

/// Whether bytes are being read, and requests begun.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Processing {
    Nothing,
    /// Nothing has arrived behind the request that begins.
    Last,
    /// Another request has: their answers may be written together.
    More,
}

/// The body of the request as far as it has arrived and nobody has taken it.
#[derive(Default)]
pub(super) struct Incoming {
    pub(super) bytes: Vec<u8>,
    pub(super) has_ended: bool,
    pub(super) is_end_taken: bool,
    /// The futures of those who wait for more.
    pub(super) waiters: Vec<Py<PyAny>>,
}

/// The scope, once somebody has asked for it, or what is still to be put into it.
#[derive(Default)]
pub(super) struct Made {
    pub(super) scope: Option<Py<PyDict>>,
    pub(super) selection: Option<Selection>,
}

/// A task that is cancelled when the client leaves.
pub(super) struct Watched {
    pub(super) task: Py<PyAny>,
    pub(super) has_left: bool,
}

/// One request and its response.
#[pyclass(frozen, module = "ferroapi._core")]
pub(crate) struct Exchange {
    pub(super) protocol: Py<HTTPProtocol>,
    pub(super) head: RequestHead,
    /// The application's state as it was when the request began; none if nothing was in it.
    pub(super) state: Option<Py<PyAny>>,
    pub(super) made: Locked<Made>,
    pub(super) incoming: Locked<Incoming>,
    pub(super) answer: Locked<Option<ResponseBody>>,
    pub(super) watched: Locked<Option<Watched>>,
    pub(super) awaits_continue: AtomicBool,
    pub(super) has_started: AtomicBool,
    pub(super) is_complete: AtomicBool,
    pub(super) is_disconnected: AtomicBool,
    pub(super) must_close: AtomicBool,
}

/// How far the call of the application is.
pub(super) enum CallStage {
    /// The application is not called yet, or this one in its place.
    Fresh(Option<Py<PyAny>>),
    /// What it returned is being run.
    Running(Py<PyAny>),
    /// The same; it was stepped by hand, and waits for this object since.
    #[cfg_attr(not(reused_tasks), expect(dead_code, reason = "all tasks are eager there"))]
    Stepped {
        running: Py<PyAny>,
        pending: Py<PyAny>,
    },
    Over,
    /// It is over, and the task waits for another request.
    #[cfg_attr(not(reused_tasks), expect(dead_code, reason = "a task serves one request"))]
    Idle,
}

/// One call of the application.
#[pyclass(frozen, module = "ferroapi._core")]
pub(crate) struct ApplicationCall {
    pub(super) exchange: Locked<Option<Py<Exchange>>>,
    pub(super) stage: Locked<CallStage>,
    /// The future that the task waits for while it is idle.
    pub(super) parked: Locked<Option<Py<PyAny>>>,
}

/// What the requests of a connection do to their tasks, where a new task that makes its first step at once is an alternative.
#[cfg(all(Py_3_12, reused_tasks))]
#[derive(Clone, Copy, Default, PartialEq)]
pub(super) enum Habit {
    /// The last one had to wait, or there was none.
    #[default]
    Waits,
    /// The last one was over at once.
    EndsAtOnce,
    /// One has left something on the task that was kept.
    LeavesMarks,
}

/// A task, and what it was like when it was new.
#[cfg(reused_tasks)]
pub(super) struct Spare {
    pub(super) task: Py<PyAny>,
    pub(super) call: Py<ApplicationCall>,
    /// What it runs in, and a copy of that.
    pub(super) context: Py<PyAny>,
    pub(super) pristine: Py<PyAny>,
    #[cfg(not(Py_3_12))]
    pub(super) name: Py<PyAny>,
    /// The dict in which code may put something on it.
    pub(super) attributes: Py<PyDict>,
    /// How it was when it was found to be as if it were new.
    pub(super) found: Option<Found>,
    /// Whether it may be pending at the end of the event loop without a word of that.
    pub(super) is_quiet: bool,
}

/// The fields of a task, and an object that one of them leads to: the weak reference to it, or the number in its name.
#[cfg(reused_tasks)]
pub(super) struct Found {
    pub(super) fields: Fields,
    pub(super) _kept: Py<PyAny>,
}
