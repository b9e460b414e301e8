//! Before Python 3.14: the first step of a task is made by hand, and a task may serve a connection again.
//!
//! Only while it is as if it were new: what code has put on it, or keeps of it, must not be seen by another request. From
//! 3.12 on that is so for connections whose requests do not wait; for others a task that begins at once costs less.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyDictMethods, PyType};
#[cfg(Py_3_12)]
use pyo3::types::{PyInt, PySet, PySetMethods};
use pyo3::{PyTraverseError, PyVisit};

use super::settings::Settings;
#[cfg(Py_3_12)]
use super::state::Habit;
use super::state::{ApplicationCall, CallStage, Exchange, Found, HTTPProtocol, Spare};
use crate::awaitable::{Input, iterator, mark_awaited};
use crate::ffi::Sent;
use crate::ffi::kept::Fields;
use crate::{ffi, names};

/// What the class of tasks has: called so, no task is asked whether it has something else by these names.
struct Methods {
    class: Py<PyType>,
    #[cfg(not(Py_3_12))]
    get_name: Py<PyAny>,
    cancelling: Py<PyAny>,
    future: Py<PyType>,
    is_done: Py<PyAny>,
}

impl Methods {
    fn of_tasks(py: Python<'_>) -> PyResult<&Self> {
        static METHODS: PyOnceLock<Methods> = PyOnceLock::new();
        METHODS.get_or_try_init(py, || {
            let (class, future) = (names::task(py)?, names::future(py)?);
            Ok(Self {
                is_done: future.getattr(intern!(py, "done"))?.unbind(),
                future: future.clone().unbind(),
                #[cfg(not(Py_3_12))]
                get_name: class.getattr(intern!(py, "get_name"))?.unbind(),
                cancelling: class.getattr(intern!(py, "cancelling"))?.unbind(),
                class: class.clone().unbind(),
            })
        })
    }
}

/// References to a task of which nobody knows: here, and what the event loop or a future calls to make its next step.
const OWN_REFERENCES: isize = 2;

/// References to its context: here, in the task, and in that call.
const OWN_CONTEXT_REFERENCES: isize = 3;

/// References to its name: here and in the task.
#[cfg(not(Py_3_12))]
const OWN_NAME_REFERENCES: isize = 2;

/// References to its call, which is its coroutine: here and in the task.
const OWN_CALL_REFERENCES: isize = 2;

impl Spare {
    /// A new task for a call.
    fn new(py: Python<'_>, protocol: &HTTPProtocol, call: Py<ApplicationCall>) -> PyResult<Self> {
        let context = protocol.context(py)?;
        let options = PyDict::new(py);
        options.set_item(intern!(py, "context"), &context)?;
        let event_loop = protocol.event_loop.bind(py);
        let task = event_loop.call_method(intern!(py, "create_task"), (&call,), Some(&options))?;
        // It is none of `asyncio.all_tasks` while it is idle; before Python 3.12 it costs too much to put it there again.
        #[cfg(Py_3_12)]
        names::unregister_task(py)?.call1((&task,))?;
        Ok(Self {
            #[cfg(not(Py_3_12))]
            name: task.call_method0(intern!(py, "get_name"))?.unbind(),
            attributes: ffi::instance_dict(&task)?.cast_into::<PyDict>()?.unbind(),
            found: None,
            task: task.unbind(),
            call,
            pristine: ffi::copy_context(&context)?.unbind(),
            context: context.unbind(),
            is_quiet: false,
        })
    }

    /// Whether nothing is known of the task that was not known when it was new.
    fn is_as_new(&mut self, py: Python<'_>) -> PyResult<bool> {
        let task = self.task.bind(py);
        if !ffi::has_same_variables(self.context.bind(py), self.pristine.bind(py))
            || ffi::reference_count(self.context.bind(py)) != OWN_CONTEXT_REFERENCES
            || ffi::reference_count(self.call.bind(py)) != OWN_CALL_REFERENCES
            || !self.attributes.bind(py).is_empty()
        {
            return Ok(false);
        }
        #[cfg(not(Py_3_12))]
        if ffi::reference_count(self.name.bind(py)) != OWN_NAME_REFERENCES {
            return Ok(false);
        }
        #[cfg(Py_3_12)]
        if ffi::has_weak_references(task) || !ffi::instance_dict(task)?.is(&self.attributes) {
            return Ok(false);
        }
        // The name, the weak reference and the attributes that it was found to have are kept, so that no others can be at
        // their addresses.
        if self.found.as_ref().is_some_and(|found| found.fields.are_unchanged(task)) {
            return Ok(true);
        }
        self.found = None;
        if !self.says_nothing(py)? {
            return Ok(false);
        }
        let Some(kept) = self.only_name_or_reference(py)? else { return Ok(false) };
        self.found = Fields::of(task).map(|fields| Found { fields, _kept: kept });
        Ok(true)
    }

    /// Whether nothing is known of the task by what it says itself.
    fn says_nothing(&self, py: Python<'_>) -> PyResult<bool> {
        let (task, methods) = (self.task.bind(py), Methods::of_tasks(py)?);
        let own = std::slice::from_ref(&self.task);
        let is = |name| -> PyResult<bool> { task.getattr(name)?.is_truthy() };
        Ok(ffi::reference_count(task) == OWN_REFERENCES
            && task.get_type().is(&methods.class)
            && ffi::instance_dict(task)?.is(&self.attributes)
            && !ffi::vectorcall(methods.cancelling.bind(py), own, None)?.is_truthy()?
            // One that waits for a future has this cancelled instead, which is seen before it serves again.
            && (self.call.get().parked.with(py, |parked| parked.is_some()) || !is(intern!(py, "_must_cancel"))?)
            && task.getattr(intern!(py, "_callbacks"))?.is_none())
    }

    /// The one weak reference to the task, that of `asyncio.all_tasks`, if it has its name still.
    #[cfg(not(Py_3_12))]
    fn only_name_or_reference(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let get_name = Methods::of_tasks(py)?.get_name.bind(py);
        if !ffi::vectorcall(get_name, std::slice::from_ref(&self.task), None)?.is(&self.name) {
            return Ok(None);
        }
        // Another one is that of somebody who may see the next request: the list of them is in the task's fields.
        let mut references = names::weak_references(py)?.call1((&self.task,))?.extract::<Vec<Py<PyAny>>>()?;
        Ok(references.pop().filter(|_| references.is_empty()))
    }

    /// The number of which the task's name is made when somebody asks for it first: log records have it, too.
    #[cfg(Py_3_12)]
    fn only_name_or_reference(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let referents = names::referents(py)?.call1((&self.task,))?.extract::<Vec<Py<PyAny>>>()?;
        Ok(referents.into_iter().find(|referent| referent.bind(py).is_exact_instance_of::<PyInt>()))
    }

    /// Whether the task is still idle, and nobody has got hold of it since it was found to be as new.
    fn is_unknown(&self, py: Python<'_>) -> PyResult<bool> {
        let call = self.call.get();
        Ok(ffi::reference_count(self.task.bind(py)) == OWN_REFERENCES
            && call.stage.with(py, |stage| matches!(stage, CallStage::Idle))
            && call.is_waiting(py)?)
    }

    fn be_quiet(&mut self, py: Python<'_>, is_quiet: bool) -> PyResult<()> {
        if self.is_quiet == is_quiet {
            return Ok(());
        }
        self.is_quiet = is_quiet;
        self.task.setattr(py, intern!(py, "_log_destroy_pending"), !is_quiet)
    }

    /// Let the task go on with what its call has come to.
    fn wake(&self, py: Python<'_>) -> PyResult<()> {
        match self.call.get().parked.replace(py, None) {
            Some(parked) if !parked.call_method0(py, intern!(py, "done"))?.is_truthy(py)? => {
                parked.call_method1(py, intern!(py, "set_result"), (py.None(),)).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Leave the request to the task.
    fn hand_over(mut self, py: Python<'_>, settings: &Settings) -> PyResult<()> {
        #[cfg(Py_3_12)]
        names::register_task(py)?.call1((&self.task,))?;
        settings.keep_task(self.task.bind(py))?;
        self.be_quiet(py, false)?;
        self.wake(py)
    }

    /// Let the task end.
    ///
    /// # Errors
    /// Those of waking it.
    pub(super) fn release(&self, py: Python<'_>) -> PyResult<()> {
        drop(self.call.get().stage.replace(py, CallStage::Over));
        self.wake(py)
    }

    pub(super) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        #[cfg(not(Py_3_12))]
        visit.call(&self.name)?;
        let Self { task, call, context, pristine, attributes, .. } = self;
        visit.call(call)?;
        visit.call(attributes)?;
        [task, context, pristine].into_iter().try_for_each(|object| visit.call(object))
    }
}

#[cfg(Py_3_12)]
impl HTTPProtocol {
    fn habit(&self, py: Python<'_>) -> Habit {
        self.habit.with(py, |habit| *habit)
    }

    fn take_habit(&self, py: Python<'_>, habit: Habit) {
        self.habit.replace(py, habit);
    }
}

impl ApplicationCall {
    /// Make the first step by hand, in the connection's spare task or a new one: the task's own step finds what came of it.
    pub(super) fn begin(
        py: Python<'_>,
        protocol: &Bound<'_, HTTPProtocol>,
        exchange: Py<Exchange>,
        other: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let this = protocol.get();
        #[cfg(Py_3_12)]
        if this.spare.with(py, |spare| spare.is_none()) && this.habit(py) != Habit::EndsAtOnce {
            if Self::begin_eagerly(py, this, exchange, other)? && this.habit(py) == Habit::Waits {
                this.take_habit(py, Habit::EndsAtOnce);
            }
            return Ok(());
        }
        let mut spare = match this.spare.replace(py, None) {
            Some(spare) if spare.is_unknown(py)? => {
                drop(spare.call.get().exchange.replace(py, Some(exchange)));
                drop(spare.call.get().stage.replace(py, CallStage::Fresh(other)));
                spare
            }
            unfit => {
                unfit.map_or(Ok(()), |unfit| unfit.release(py))?;
                Spare::new(py, this, Py::new(py, Self::of(exchange, other))?)?
            }
        };
        let (event_loop, call) = (this.event_loop.bind(py), spare.call.get());
        // What `asyncio.tasks._enter_task` and `_leave_task` do, at a third of their cost.
        let tasks = names::current_tasks(py)?.cast_exact::<PyDict>()?;
        if !ffi::set_default(tasks, event_loop, spare.task.bind(py))? {
            // Another task runs: this one makes its first step itself.
            return spare.hand_over(py, &this.settings);
        }
        #[cfg(Py_3_12)]
        let eager_tasks = names::eager_tasks(py)?.cast_exact::<PySet>()?;
        #[cfg(Py_3_12)]
        eager_tasks.add(&spare.task)?;
        let none = || py.None().into_bound(py);
        let stepped = ffi::in_context(spare.context.bind(py), || call.step(py, Input::Value(none())));
        #[cfg(Py_3_12)]
        eager_tasks.discard(&spare.task)?;
        tasks.del_item(event_loop)?;
        match stepped? {
            Sent::Yielded(pending) => {
                mark_awaited(&pending, false)?;
                call.note_pending(py, pending.unbind());
                #[cfg(Py_3_12)]
                this.take_habit(py, Habit::Waits);
                spare.hand_over(py, &this.settings)
            }
            Sent::Returned(_) if this.is_open(py) && spare.is_as_new(py)? => {
                drop(spare.call.get().stage.replace(py, CallStage::Idle));
                spare.be_quiet(py, true)?;
                match this.spare.replace(py, Some(spare)) {
                    None => Ok(()),
                    Some(other) => other.release(py),
                }
            }
            Sent::Returned(_) => {
                #[cfg(Py_3_12)]
                this.take_habit(py, Habit::LeavesMarks);
                spare.release(py)
            }
        }
    }

    /// Whether nothing has ended the task's wait.
    fn is_waiting(&self, py: Python<'_>) -> PyResult<bool> {
        match self.parked.with(py, |parked| parked.as_ref().map(|parked| parked.clone_ref(py))) {
            None => Ok(true),
            Some(parked) => {
                let methods = Methods::of_tasks(py)?;
                if !parked.bind(py).get_type().is(&methods.future) {
                    return Ok(!parked.call_method0(py, intern!(py, "done"))?.is_truthy(py)?);
                }
                let is_done = ffi::vectorcall(methods.is_done.bind(py), &[parked], None)?;
                Ok(!is_done.is_truthy()?)
            }
        }
    }

    /// Note what the call waits for after the step by hand.
    fn note_pending(&self, py: Python<'_>, pending: Py<PyAny>) {
        let running = self.stage.with(py, |stage| match stage {
            CallStage::Running(running) => Some(running.clone_ref(py)),
            _ => None,
        });
        if let Some(running) = running {
            drop(self.stage.replace(py, CallStage::Stepped { running, pending }));
        }
    }

    /// Wait for another request.
    pub(super) fn park<'py>(&self, py: Python<'py>) -> PyResult<Sent<'py>> {
        let future = names::running_loop(py)?.call0()?.call_method0(intern!(py, "create_future"))?;
        drop(self.parked.replace(py, Some(future.clone().unbind())));
        ffi::send(&iterator(future)?, py.None().bind(py))
    }
}
