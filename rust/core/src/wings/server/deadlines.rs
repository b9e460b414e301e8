//! Until when a client has to send its next request, or the rest of one, before its connection is closed.

use std::time::{Duration, Instant};

use pyo3::intern;
use pyo3::prelude::*;

use super::state::{Deadline, HTTPProtocol};

impl HTTPProtocol {
    /// Nothing is to be done before more arrives: set the time for that.
    pub(super) fn rest(slf: &Bound<'_, Self>, is_reading_head: bool) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        if this.is_busy(py) || !this.is_open(py) {
            return Ok(());
        }
        let seconds = if is_reading_head { this.head_seconds } else { this.settings.keep_alive_seconds };
        let has_served = this.state.with(py, |state| state.current.is_some());
        if !is_reading_head && !has_served {
            return Ok(());
        }
        let at = Instant::now() + Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(3600));
        let (deadline, is_armed) = this.state.with(py, |state| {
            let deadline = match state.deadline {
                // A slow sender gets no more time by sending.
                Some(Deadline::Head(at)) if is_reading_head => Deadline::Head(at),
                _ if is_reading_head => Deadline::Head(at),
                _ => Deadline::KeepAlive(at),
            };
            state.deadline = Some(deadline);
            (deadline, state.timer.as_ref().is_some_and(|(_, armed)| armed.at() <= deadline.at()))
        });
        if is_armed {
            return Ok(());
        }
        Self::cancel_timer(slf)?;
        Self::arm(slf, deadline, seconds)
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
