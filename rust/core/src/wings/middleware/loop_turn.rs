//! Whether the event loop was given something to do while code ran by hand, in a turn of it that has not ended.
//!
//! In `AnyIO`'s streams it has its turn before each message: a timeout that is over ends a request there.

use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use super::names as wing_names;
use crate::ffi;
use crate::ffi::locked::Locked;

/// How long code runs by hand until timers are looked at: a loop has none that are more exact.
const PRECISION: Duration = Duration::from_millis(1);

/// What the loop was about to do when the outermost middleware function began.
pub(super) struct LoopTurn {
    event_loop: Py<PyAny>,
    /// What the loop calls in its next turn, if it lets that be seen.
    ready: Option<Py<PyAny>>,
    stretch: Locked<Stretch>,
}

/// A stretch of code without a turn of the loop.
struct Stretch {
    since: Instant,
    /// When a call was begun by hand, if one was.
    begun: Option<Instant>,
    /// How many calls of the loop are known.
    known: usize,
    /// One of them, and its place: it is there until the loop has a turn.
    mark: Option<(Py<PyAny>, usize)>,
}

impl Stretch {
    fn new(known: usize, mark: Option<(Py<PyAny>, usize)>) -> Self {
        Self { since: Instant::now(), begun: None, known, mark }
    }
}

impl LoopTurn {
    pub(super) fn new(event_loop: &Bound<'_, PyAny>) -> PyResult<Self> {
        let ready = wing_names::ready_calls(event_loop.py())?.call1((event_loop,))?;
        let ready = (!ready.is_none()).then_some(ready);
        let known = ready.as_ref().map_or(Ok(0), PyAnyMethods::len)?;
        let mark = match (&ready, known.checked_sub(1)) {
            (Some(ready), Some(last)) => Some((ffi::item_at(ready, last)?.unbind(), last)),
            _ => None,
        };
        let stretch = Locked::new(Stretch::new(known, mark));
        Ok(Self { event_loop: event_loop.clone().unbind(), ready: ready.map(Bound::unbind), stretch })
    }

    /// Take note that a call begins by hand, of whose task the loop was told last.
    pub(super) fn note_task(&self, py: Python<'_>) -> PyResult<()> {
        let Some(ready) = &self.ready else {
            self.stretch.with(py, |stretch| stretch.begun.get_or_insert_with(Instant::now).elapsed());
            return Ok(());
        };
        let ready = ready.bind(py);
        let length = ready.len()?;
        let known = if self.is_going_on(ready, length)? {
            let (known, is_first) = self.stretch.with(py, |stretch| {
                stretch.known += 1;
                (stretch.known, stretch.begun.is_none())
            });
            if !is_first {
                return Ok(());
            }
            known
        } else {
            // The loop had a turn meanwhile: what it is about to do may be for this request.
            1
        };
        let last = length.saturating_sub(1);
        let mark = (ffi::item_at(ready, last)?.unbind(), last);
        let before = self.stretch.with(py, |stretch| {
            if stretch.begun.is_some() {
                stretch.since = Instant::now();
            }
            stretch.begun = Some(Instant::now());
            stretch.known = known;
            stretch.mark.replace(mark)
        });
        drop(before);
        Ok(())
    }

    /// Whether the loop was told to call something besides what has begun by hand; it may have been if that cannot be seen.
    pub(super) fn has_more(&self, py: Python<'_>) -> PyResult<bool> {
        let Some(ready) = &self.ready else { return Ok(true) };
        let ready = ready.bind(py);
        let length = ready.len()?;
        Ok(!self.is_going_on(ready, length)? || length > self.stretch.with(py, |stretch| stretch.known))
    }

    /// Whether the loop would do something now, before what has begun by hand goes on.
    pub(super) fn is_wanted(&self, py: Python<'_>) -> PyResult<bool> {
        let (since, begun, known) = self.stretch.with(py, |stretch| (stretch.since, stretch.begun, stretch.known));
        let Some(begun) = begun else { return Ok(false) };
        if let Some(ready) = &self.ready {
            let ready = ready.bind(py);
            let length = ready.len()?;
            if !self.is_going_on(ready, length)? {
                return Ok(false);
            }
            if length > known {
                return Ok(true);
            }
        }
        if since.elapsed() < PRECISION {
            return Ok(false);
        }
        let is_due = wing_names::has_due_timer(py)?.call1((&self.event_loop,))?;
        if is_due.is_none() {
            return Ok(begun.elapsed() >= PRECISION);
        }
        if is_due.is_truthy()? {
            return Ok(true);
        }
        // None is due before this moment: the next look is for those from here on.
        self.stretch.with(py, |stretch| stretch.since = Instant::now());
        Ok(false)
    }

    /// Whether the loop had no turn since the stretch began.
    fn is_going_on(&self, ready: &Bound<'_, PyAny>, length: usize) -> PyResult<bool> {
        let py = ready.py();
        let mark =
            self.stretch.with(py, |stretch| stretch.mark.as_ref().map(|(call, place)| (call.clone_ref(py), *place)));
        match mark {
            Some((call, place)) => Ok(length > place && ffi::item_at(ready, place)?.is(&call)),
            // Nothing was to be done, of which nothing is known to be left.
            None => Ok(true),
        }
    }

    pub(super) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.event_loop)?;
        visit.call(&self.ready)?;
        self.stretch.visit(visit, |stretch| visit.call(stretch.mark.as_ref().map(|(call, _)| call)))
    }

    pub(super) fn clear(&self, py: Python<'_>) {
        drop(self.stretch.with(py, |stretch| stretch.mark.take()));
    }
}
