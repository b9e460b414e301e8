//! Until when a client has to send its next request, or the rest of one, before its connection is closed.

use std::time::Instant;

use pyo3::intern;
use pyo3::prelude::*;

use super::state::{Deadline, HTTPProtocol};

impl HTTPProtocol {
    /// Nothing is to be done before more arrives: set the time for that.
    pub(super) fn rest(slf: &Bound<'_, Self>, is_reading_head: bool) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        let time = if is_reading_head { this.head_time } else { this.settings.keep_alive_time };
        let unarmed = this.state.with(py, |state| {
            let has_served = state.current.is_some();
            if state.is_busy() || state.is_closing || !(is_reading_head || has_served) {
                return None;
            }
            let deadline = match state.deadline {
                // A slow sender gets no more time by sending.
                Some(Deadline::Head(at)) if is_reading_head => Deadline::Head(at),
                _ if is_reading_head => Deadline::Head(Instant::now() + time),
                _ => Deadline::KeepAlive(Instant::now() + time),
            };
            state.deadline = Some(deadline);
            let is_armed = state.timer.as_ref().is_some_and(|(_, armed)| armed.at() <= deadline.at());
            (!is_armed).then_some(deadline)
        });
        let Some(deadline) = unarmed else { return Ok(()) };
        Self::cancel_timer(slf)?;
        Self::arm(slf, deadline, time.as_secs_f64())
    }

    pub(super) fn arm(slf: &Bound<'_, Self>, deadline: Deadline, seconds: f64) -> PyResult<()> {
        let py = slf.py();
        let expire = slf.getattr(intern!(py, "expire"))?;
        let timer = slf.get().event_loop.bind(py).call_method1(intern!(py, "call_later"), (seconds, expire))?;
        let before = slf.get().state.with(slf.py(), |state| state.timer.replace((timer.unbind(), deadline)));
        drop(before);
        Ok(())
    }

    pub(super) fn cancel_timer(slf: &Bound<'_, Self>) -> PyResult<()> {
        let timer = slf.get().state.with(slf.py(), |state| state.timer.take());
        timer.map_or(Ok(()), |(timer, _)| timer.call_method0(slf.py(), intern!(slf.py(), "cancel")).map(drop))
    }
}
