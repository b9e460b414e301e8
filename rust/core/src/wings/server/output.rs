//! What is written to a connection: gathered while steps are made, and held up by a client that does not read.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::state::{HIGH_WATER, HTTPProtocol, Processing, State};

impl HTTPProtocol {
    pub(super) fn take_output(slf: &Bound<'_, Self>) -> Vec<u8> {
        slf.get().state.with(slf.py(), |state| std::mem::take(&mut state.output))
    }

    pub(super) fn put_output(slf: &Bound<'_, Self>, mut output: Vec<u8>) {
        slf.get().state.with(slf.py(), |state| {
            // Whatever an iterator of headers may have written meanwhile comes after.
            output.append(&mut state.output);
            state.output = output;
        });
    }

    pub(super) fn write(slf: &Bound<'_, Self>, bytes: &[u8]) {
        slf.get().state.with(slf.py(), |state| state.output.extend_from_slice(bytes));
    }

    pub(super) fn hold_output(&self, py: Python<'_>) {
        self.state.with(py, |state| state.steps += 1);
    }

    pub(super) fn release_output(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().state.with(slf.py(), |state| state.steps -= 1);
        Self::flush_unless_stepping(slf)
    }

    pub(super) fn flush_unless_stepping(slf: &Bound<'_, Self>) -> PyResult<()> {
        let is_due = slf.get().state.with(slf.py(), |state| {
            (state.steps == 0 && state.processing == Processing::Nothing) || state.output.len() > HIGH_WATER
        });
        if is_due { Self::flush(slf) } else { Ok(()) }
    }

    pub(super) fn flush(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let pending = slf.get().state.with(py, |state| {
            let output = (!state.output.is_empty()).then(|| PyBytes::new(py, &state.output));
            state.output.clear();
            output.zip(state.write.as_ref().map(|write| write.clone_ref(py)))
        });
        pending.map_or(Ok(()), |(output, write)| write.into_bound(py).call1((output,)).map(drop))
    }

    /// Write what there is, and close the connection.
    pub(super) fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::flush(slf)?;
        if slf.get().state.with(slf.py(), State::close) {
            return Ok(());
        }
        let transport = slf.get().transport(slf.py());
        transport.map_or(Ok(()), |transport| transport.call_method0(intern!(slf.py(), "close")).map(drop))
    }

    pub(super) fn say_continue(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        if !slf.get().is_open(py) {
            return Ok(());
        }
        Self::write(slf, b"HTTP/1.1 100 Continue\r\n\r\n");
        Self::flush(slf)
    }

    /// The future that is resolved when the client has read enough; none if it has.
    pub(super) fn drained<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let (py, this) = (slf.py(), slf.get());
        if !this.is_write_paused() {
            return Ok(None);
        }
        if let Some(drained) = this.state.with(py, |state| state.drained.as_ref().map(|drained| drained.clone_ref(py)))
        {
            return Ok(Some(drained.into_bound(py)));
        }
        let drained = this.event_loop.bind(py).call_method0(intern!(py, "create_future"))?;
        let before = this.state.with(py, |state| state.drained.replace(drained.clone().unbind()));
        drop(before);
        Ok(Some(drained))
    }
}
