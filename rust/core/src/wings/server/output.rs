//! What is written to a connection: gathered while steps are made, and held up by a client that does not read.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::processing::Processing;
use super::protocol::{HIGH_WATER, HTTPProtocol};

impl HTTPProtocol {
    pub(super) fn take_output(slf: &Bound<'_, Self>) -> Vec<u8> {
        std::mem::take(&mut slf.get().state().output)
    }

    pub(super) fn put_output(slf: &Bound<'_, Self>, mut output: Vec<u8>) {
        let mut state = slf.get().state();
        // Whatever an iterator of headers may have written meanwhile comes after.
        output.append(&mut state.output);
        state.output = output;
    }

    pub(super) fn hold_output(&self) {
        self.state().steps += 1;
    }

    pub(super) fn release_output(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().state().steps -= 1;
        Self::flush_unless_stepping(slf)
    }

    pub(super) fn flush_unless_stepping(slf: &Bound<'_, Self>) -> PyResult<()> {
        let is_due = {
            let state = slf.get().state();
            (state.steps == 0 && state.processing == Processing::Nothing) || state.output.len() > HIGH_WATER
        };
        if is_due { Self::flush(slf) } else { Ok(()) }
    }

    pub(super) fn flush(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let (transport, output) = {
            let mut state = slf.get().state();
            if state.output.is_empty() {
                return Ok(());
            }
            let output = PyBytes::new(py, &state.output);
            state.output.clear();
            (state.transport.as_ref().map(|transport| transport.clone_ref(py)), output)
        };
        if let Some(transport) = transport {
            transport.call_method1(py, intern!(py, "write"), (output,))?;
        }
        Ok(())
    }

    /// Write what there is, and close the connection.
    pub(super) fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::flush(slf)?;
        let transport = {
            let mut state = slf.get().state();
            state.deadline = None;
            if std::mem::replace(&mut state.is_closing, true) {
                return Ok(());
            }
            state.transport.as_ref().map(|transport| transport.clone_ref(slf.py()))
        };
        transport.map_or(Ok(()), |transport| transport.call_method0(slf.py(), intern!(slf.py(), "close")).map(drop))
    }

    pub(super) fn say_continue(slf: &Bound<'_, Self>) -> PyResult<()> {
        if slf.get().state().is_closing {
            return Ok(());
        }
        slf.get().state().output.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        Self::flush(slf)
    }

    /// The future that is resolved when the client has read enough; none if it has.
    pub(super) fn drained<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let (py, this) = (slf.py(), slf.get());
        if !this.is_write_paused() {
            return Ok(None);
        }
        if let Some(drained) = &this.state().drained {
            return Ok(Some(drained.bind(py).clone()));
        }
        let drained = this.event_loop.bind(py).call_method0(intern!(py, "create_future"))?;
        this.state().drained = Some(drained.clone().unbind());
        Ok(Some(drained))
    }
}
