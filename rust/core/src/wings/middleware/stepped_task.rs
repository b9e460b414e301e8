//! An awaitable stepped by hand as if by a task of its own: `asyncio.current_task()` and the context are the task's.
//!
//! The base of `ferroapi._middleware.downstream.DownstreamTask`: it hands over to the task when something must wait.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use pyo3::{PyTraverseError, PyVisit};

use super::{names as wing_names, running_task};
use crate::awaitable::{exception, mark_awaited};
use crate::error::{Error, guarded};
use crate::ffi::locked::Locked;
use crate::ffi::{self, Sent};
use crate::names;

/// One call of an application: not begun, suspended, or over.
#[pyclass(frozen, subclass, module = "ferroapi._core")]
pub(crate) struct SteppedTask {
    event_loop: Py<PyAny>,
    context: Py<PyAny>,
    call: Locked<Call>,
}

struct Call {
    /// The application and its arguments, until it is called.
    target: Option<(Py<PyAny>, Py<PyTuple>)>,
    task: Option<Py<PyAny>>,
    /// Whoever is told of the end.
    caller: Option<Py<PyAny>>,
    /// The calls that it makes itself, as a middleware function.
    calls: Option<Py<PyAny>>,
    /// The cancel scope around the task, if it has one.
    scope: Option<Py<PyAny>>,
    coroutine: Option<Py<PyAny>>,
    pending: Option<Py<PyAny>>,
    by_hand: bool,
    /// Whether the event loop calls something after this call's task that the application has told it to call before.
    followed: bool,
    ended: bool,
    /// How many cancellations of the task are on their way.
    cancellations: usize,
}

impl Call {
    fn of(target: Option<(Py<PyAny>, Py<PyTuple>)>) -> Self {
        let ended = target.is_none();
        Self {
            target,
            task: None,
            caller: None,
            calls: None,
            scope: None,
            coroutine: None,
            pending: None,
            by_hand: true,
            followed: false,
            ended,
            cancellations: 0,
        }
    }
}

#[pymethods]
impl SteppedTask {
    /// A call of `application` in a copy of the context.
    #[new]
    fn new(py: Python<'_>, event_loop: Py<PyAny>, application: Py<PyAny>, arguments: Py<PyTuple>) -> PyResult<Self> {
        let context = names::copy_context(py)?.call0()?.unbind();
        Ok(Self { event_loop, context, call: Locked::new(Call::of(Some((application, arguments)))) })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.event_loop)?;
        visit.call(&self.context)?;
        self.call.visit(&visit, |call| {
            if let Some((application, arguments)) = &call.target {
                visit.call(application)?;
                visit.call(arguments)?;
            }
            let Call { task, caller, calls, scope, coroutine, pending, .. } = call;
            [task, caller, calls, scope, coroutine, pending].into_iter().try_for_each(|object| visit.call(object))
        })
    }

    fn __clear__(&self, py: Python<'_>) {
        drop(self.call.replace(py, Call::of(None)));
    }

    /// The context that the task runs in.
    #[getter]
    fn context(&self, py: Python<'_>) -> Py<PyAny> {
        self.context.clone_ref(py)
    }

    /// The task, once it is known.
    #[getter]
    pub(crate) fn task(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.call.with(py, |call| call.task.as_ref().map(|task| task.clone_ref(py)))
    }

    /// What the application returned, to be resumed.
    #[getter]
    fn coroutine(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.call.with(py, |call| call.coroutine.as_ref().map(|coroutine| coroutine.clone_ref(py)))
    }

    /// What it is suspended on, as far as it was stepped by hand.
    #[getter]
    fn pending(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.call.with(py, |call| call.pending.as_ref().map(|pending| pending.clone_ref(py)))
    }

    /// Whoever is told of the end.
    #[getter]
    pub(crate) fn caller(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.call.with(py, |call| call.caller.as_ref().map(|caller| caller.clone_ref(py)))
    }

    #[setter]
    fn set_caller(&self, py: Python<'_>, caller: Option<Py<PyAny>>) {
        drop(self.call.with(py, |call| std::mem::replace(&mut call.caller, caller)));
    }

    /// The cancel scope around the task, if it has one.
    #[getter]
    fn scope(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.call.with(py, |call| call.scope.as_ref().map(|scope| scope.clone_ref(py)))
    }

    #[setter]
    fn set_scope(&self, py: Python<'_>, scope: Option<Py<PyAny>>) {
        drop(self.call.with(py, |call| std::mem::replace(&mut call.scope, scope)));
    }

    /// Whether the task has not made a step itself yet.
    #[getter]
    fn is_by_hand(&self, py: Python<'_>) -> bool {
        self.call.with(py, |call| call.by_hand)
    }

    /// Whether the event loop has something to do before the call goes on that is behind its task in the queue.
    #[getter]
    fn is_followed(&self, py: Python<'_>) -> bool {
        self.call.with(py, |call| call.followed)
    }

    /// Whether the call is over.
    #[getter]
    pub(crate) fn has_ended(&self, py: Python<'_>) -> bool {
        self.call.with(py, |call| call.ended)
    }

    /// Take note that a cancellation of the task is on its way.
    pub(crate) fn begin_cancellation(&self, py: Python<'_>) {
        self.call.with(py, |call| call.cancellations += 1);
    }

    /// Take note that a cancellation has come.
    fn end_cancellation(&self, py: Python<'_>) {
        self.call.with(py, |call| call.cancellations = call.cancellations.saturating_sub(1));
    }

    /// Begin as `task`: by hand, unless it `has_its_turn` of the event loop, or the caller handles an exception, which the
    /// application would see as its own.
    fn begin_as(slf: &Bound<'_, Self>, task: Py<PyAny>, has_its_turn: bool) -> PyResult<()> {
        drop(slf.get().call.with(slf.py(), |call| call.task.replace(task)));
        guarded(|| if !has_its_turn && names::exception(slf.py())?.call0()?.is_none() { step(slf) } else { Ok(()) })
    }

    /// Leave the rest to the task; tell whether it has been left to it only now.
    fn hand_over(&self, py: Python<'_>) -> PyResult<bool> {
        guarded(|| {
            let (is_new, pending) = self.call.with(py, |call| {
                let pending = call.pending.as_ref().map(|pending| pending.clone_ref(py));
                (std::mem::replace(&mut call.by_hand, false), pending)
            });
            if let (true, Some(pending)) = (is_new, pending) {
                mark_awaited(pending.bind(py), true)?;
            }
            Ok(is_new)
        })
    }

    /// Put the task under the cancel scope that a task group would have put it under, unless it is over.
    fn adopt(&self, py: Python<'_>) -> PyResult<()> {
        let adoptable = self.call.with(py, |call| match call {
            Call { scope: None, caller: Some(caller), task, ended: false, .. } => {
                Some((task.as_ref().map(|task| task.clone_ref(py)), caller.clone_ref(py)))
            }
            _ => None,
        });
        let Some((task, caller)) = adoptable else { return Ok(()) };
        let caller = caller.bind(py);
        let scope = guarded(|| {
            let (host, since) = (caller.getattr(intern!(py, "host"))?, caller.getattr(intern!(py, "outer_scope"))?);
            wing_names::adopt_task(py)?.call1((task, host, since))
        })?;
        self.set_scope(py, Some(scope.unbind()));
        // What it calls itself is cancelled with it, in the same turn of the event loop.
        let calls = self.call.with(py, |call| call.calls.as_ref().map(|calls| calls.clone_ref(py)));
        guarded(|| calls.map_or(Ok(()), |calls| calls.call_method0(py, intern!(py, "adopt_calls")).map(drop)))
    }

    /// Call the application, and make its first step.
    fn begin<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        guarded(|| self.coroutine_of_call(py)?.call_method1(intern!(py, "send"), (py.None(),)))
    }

    /// Take note that the application is done, and tell the caller.
    fn note_end(&self, py: Python<'_>) -> PyResult<()> {
        // Once told, none needs the others: what a request leaves behind is freed without a search for cycles.
        let Call { task, scope, caller, .. } = self.call.with(py, |call| {
            let by_hand = call.by_hand;
            std::mem::replace(call, Call { by_hand, ..Call::of(None) })
        });
        guarded(|| {
            if let Some(scope) = scope {
                wing_names::release_scope(py)?.call1((task, scope))?;
            }
            caller.map_or(Ok(()), |caller| caller.call_method0(py, intern!(py, "note_end")).map(drop))
        })
    }
}

impl SteppedTask {
    /// Whether a cancellation of the task is on its way, of which the task does not know yet.
    pub(crate) fn is_to_be_cancelled(&self, py: Python<'_>) -> bool {
        self.call.with(py, |call| call.cancellations > 0)
    }

    /// Take note of the calls that it makes itself, as a middleware function.
    pub(crate) fn note_calls(&self, py: Python<'_>, calls: &Bound<'_, PyAny>) {
        drop(self.call.with(py, |call| call.calls.replace(calls.clone().unbind())));
    }

    /// Call the application: what is to be resumed from then on.
    fn coroutine_of_call<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let Some((application, arguments)) = self.call.with(py, |call| call.target.take()) else {
            return Err(Error::Resumed.into());
        };
        let awaitable = application.bind(py).call1(arguments)?;
        let is_resumable = ffi::is_coroutine(&awaitable)
            || (awaitable.hasattr(intern!(py, "send"))? && awaitable.hasattr(intern!(py, "throw"))?);
        let coroutine = if is_resumable { awaitable } else { wing_names::awaited(py)?.call1((awaitable,))? };
        drop(self.call.with(py, |call| call.coroutine.replace(coroutine.clone().unbind())));
        Ok(coroutine)
    }
}

/// Make a step by hand if nothing is in the way; tell whether one was made.
pub(crate) fn go_on(slf: &Bound<'_, SteppedTask>) -> PyResult<bool> {
    let py = slf.py();
    let pending = slf.get().call.with(slf.py(), |call| match call {
        Call { pending: Some(pending), by_hand: true, ended: false, .. } => Some(pending.clone_ref(py)),
        _ => None,
    });
    let Some(pending) = pending else { return Ok(false) };
    let is_done = !pending.is_none(py) && pending.bind(py).call_method0(intern!(py, "done"))?.is_truthy()?;
    if !is_done || !names::exception(py)?.call0()?.is_none() {
        return Ok(false);
    }
    step(slf)?;
    Ok(true)
}

fn step(slf: &Bound<'_, SteppedTask>) -> PyResult<()> {
    let py = slf.py();
    let SteppedTask { event_loop, context, call } = slf.get();
    let (task, coroutine) = call.with(py, |call| {
        let [task, coroutine] = [&call.task, &call.coroutine].map(|object| object.as_ref().map(|it| it.clone_ref(py)));
        (task, coroutine)
    });
    let event_loop = event_loop.bind(py);
    let host = running_task::replace(event_loop, task.as_ref().map(|task| task.bind(py)))?;
    let sent = guarded(|| {
        ffi::in_context(context.bind(py), || {
            let coroutine = match coroutine {
                None => slf.get().coroutine_of_call(py)?,
                Some(coroutine) => coroutine.into_bound(py),
            };
            ffi::send(&coroutine, py.None().bind(py))
        })
    });
    running_task::replace(event_loop, host.as_ref())?;
    match sent {
        Ok(Sent::Yielded(object)) => {
            mark_awaited(&object, false)?;
            let caller = if object.is_none() { slf.get().caller(py) } else { None };
            let followed =
                caller.map_or(Ok(false), |caller| caller.getattr(py, intern!(py, "has_more_to_do"))?.is_truthy(py))?;
            let before = call.with(py, |call| {
                call.followed = followed;
                call.pending.replace(object.unbind())
            });
            drop(before);
            Ok(())
        }
        Ok(Sent::Returned(_)) => slf.get().note_end(py),
        Err(error) => slf.call_method1(intern!(py, "note_failure"), (exception(py, &error),)).map(drop),
    }
}
