//! An awaitable stepped by hand as if by a task of its own: `asyncio.current_task()` and the context are the task's.
//!
//! The base of `ferroapi._middleware.below.Below`, which hands over to the task itself when something has to wait.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use pyo3::{PyTraverseError, PyVisit};

use crate::awaitable::exception;
use crate::ffi::{self, Sent};
use crate::names;

/// One call of an application: not begun, suspended, or over.
#[pyclass(subclass, module = "ferroapi._core")]
pub(crate) struct Steps {
    event_loop: Py<PyAny>,
    context: Py<PyAny>,
    /// The application and its arguments, until it is called.
    call: Option<(Py<PyAny>, Py<PyTuple>)>,
    task: Option<Py<PyAny>>,
    /// Whoever is told of the end.
    #[pyo3(get, set)]
    exchange: Option<Py<PyAny>>,
    /// The cancel scope around the task, if it has one.
    #[pyo3(get, set)]
    scope: Option<Py<PyAny>>,
    coroutine: Option<Py<PyAny>>,
    pending: Option<Py<PyAny>>,
    by_hand: bool,
    ended: bool,
}

#[pymethods]
impl Steps {
    /// A call of `application` in a copy of the context.
    #[new]
    fn new(py: Python<'_>, event_loop: Py<PyAny>, application: Py<PyAny>, arguments: Py<PyTuple>) -> PyResult<Self> {
        Ok(Self {
            event_loop,
            context: names::copy_context(py)?.call0()?.unbind(),
            call: Some((application, arguments)),
            task: None,
            exchange: None,
            scope: None,
            coroutine: None,
            pending: None,
            by_hand: true,
            ended: false,
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.event_loop)?;
        visit.call(&self.context)?;
        if let Some((application, arguments)) = &self.call {
            visit.call(application)?;
            visit.call(arguments)?;
        }
        visit.call(&self.task)?;
        visit.call(&self.exchange)?;
        visit.call(&self.scope)?;
        visit.call(&self.coroutine)?;
        visit.call(&self.pending)
    }

    fn __clear__(&mut self) {
        self.call = None;
        self.task = None;
        self.exchange = None;
        self.scope = None;
        self.coroutine = None;
        self.pending = None;
    }

    /// The context that the task runs in.
    #[getter]
    fn context(&self, py: Python<'_>) -> Py<PyAny> {
        self.context.clone_ref(py)
    }

    /// The task, once it is known.
    #[getter]
    fn task(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.task.as_ref().map(|task| task.clone_ref(py))
    }

    /// What the application returned, to be resumed.
    #[getter]
    fn coroutine(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.coroutine.as_ref().map(|coroutine| coroutine.clone_ref(py))
    }

    /// What it is suspended on, as far as it was stepped by hand.
    #[getter]
    fn pending(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.pending.as_ref().map(|pending| pending.clone_ref(py))
    }

    /// Whether the task has not made a step itself yet.
    #[getter]
    fn is_by_hand(&self) -> bool {
        self.by_hand
    }

    /// Whether the call is over.
    #[getter]
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Begin as `task`, unless the caller handles an exception: the application would see it as its own.
    fn begin_as(slf: &Bound<'_, Self>, task: Py<PyAny>) -> PyResult<()> {
        slf.borrow_mut().task = Some(task);
        if names::exception(slf.py())?.call0()?.is_none() { step(slf) } else { Ok(()) }
    }

    /// Leave the rest to the task; tell whether it has been left to it only now.
    fn hand_over(&mut self) -> bool {
        std::mem::replace(&mut self.by_hand, false)
    }

    /// Put the task under the cancel scope that a task group would have put it under, unless it is over.
    fn adopt(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let (task, exchange) = {
            let this = slf.borrow();
            match (&this.scope, &this.exchange) {
                (None, Some(exchange)) if !this.ended => (this.task(py), exchange.clone_ref(py)),
                _ => return Ok(()),
            }
        };
        let exchange = exchange.bind(py);
        let (host, parent) = (exchange.getattr(intern!(py, "host"))?, exchange.getattr(intern!(py, "outer_scope"))?);
        let scope = names::adopt_task(py)?.call1((task, host, parent))?;
        slf.borrow_mut().scope = Some(scope.unbind());
        Ok(())
    }

    /// Call the application, and make its first step.
    fn begin<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let coroutine = call(slf)?;
        coroutine.call_method1(intern!(slf.py(), "send"), (slf.py().None(),))
    }

    /// Take note that the application is done, and tell the exchange.
    fn note_end(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let (task, scope, exchange) = {
            let mut this = slf.borrow_mut();
            this.ended = true;
            this.call = None;
            this.coroutine = None;
            this.pending = None;
            // Once told, neither needs the other: what a request leaves behind is freed without a search for cycles.
            (this.task.take(), this.scope.take(), this.exchange.take())
        };
        if let Some(scope) = scope {
            names::release_scope(py)?.call1((task, scope))?;
        }
        exchange.map_or(Ok(()), |exchange| exchange.call_method0(py, intern!(py, "note_end")).map(drop))
    }
}

/// Make a step by hand if nothing is in the way; tell whether one was made.
pub(crate) fn go_on(slf: &Bound<'_, Steps>) -> PyResult<bool> {
    let py = slf.py();
    let pending = {
        let this = slf.borrow();
        match &this.pending {
            Some(pending) if this.by_hand && !this.ended => pending.clone_ref(py),
            _ => return Ok(false),
        }
    };
    let is_done = !pending.is_none(py) && pending.bind(py).call_method0(intern!(py, "done"))?.is_truthy()?;
    if !is_done || !names::exception(py)?.call0()?.is_none() {
        return Ok(false);
    }
    step(slf)?;
    Ok(true)
}

fn step(slf: &Bound<'_, Steps>) -> PyResult<()> {
    let py = slf.py();
    let (event_loop, context, task, coroutine) = {
        let this = slf.borrow();
        let coroutine = this.coroutine.as_ref().map(|coroutine| coroutine.clone_ref(py));
        (this.event_loop.clone_ref(py), this.context.clone_ref(py), this.task(py), coroutine)
    };
    let (enter, leave) = (names::enter_task(py)?, names::leave_task(py)?);
    let host = names::running_task(py)?.call1((&event_loop,))?;
    leave.call1((&event_loop, &host))?;
    enter.call1((&event_loop, &task))?;
    let sent = ffi::in_context(context.bind(py), || {
        let coroutine = coroutine.map_or_else(|| call(slf), |coroutine| Ok(coroutine.into_bound(py)))?;
        ffi::send(&coroutine, py.None().bind(py))
    });
    leave.call1((&event_loop, &task))?;
    enter.call1((&event_loop, &host))?;
    match sent {
        Ok(Sent::Yielded(object)) => {
            slf.borrow_mut().pending = Some(object.unbind());
            Ok(())
        }
        Ok(Sent::Returned(_)) => Steps::note_end(slf),
        Err(error) => slf.call_method1(intern!(py, "note_failure"), (exception(py, &error),)).map(drop),
    }
}

/// Call the application: what is to be resumed from then on.
fn call<'py>(slf: &Bound<'py, Steps>) -> PyResult<Bound<'py, PyAny>> {
    let py = slf.py();
    let Some((application, arguments)) = slf.borrow_mut().call.take() else {
        return Err(crate::error::Error::Resumed.into());
    };
    let awaitable = application.bind(py).call1(arguments)?;
    let is_resumable = ffi::is_coroutine(&awaitable)
        || (awaitable.hasattr(intern!(py, "send"))? && awaitable.hasattr(intern!(py, "throw"))?);
    let coroutine = if is_resumable { awaitable } else { names::awaited(py)?.call1((awaitable,))? };
    slf.borrow_mut().coroutine = Some(coroutine.clone().unbind());
    Ok(coroutine)
}
