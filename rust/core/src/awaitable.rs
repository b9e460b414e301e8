//! What `await` does for all that is awaited and written in Rust: one class, and the steps that it is resumed with.

use pyo3::exceptions::{PyBaseException, PyGeneratorExit, PyStopIteration, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyString, PyType, PyTypeMethods};
use pyo3::{PyTraverseError, PyVisit};

use crate::error::{Error, caught, guarded};
use crate::ffi::locked::Locked;
use crate::ffi::{self, Sent};
use crate::names;

/// What is awaited: what it does between one thing that it waits for and the next.
pub(crate) trait Run: Send + Sync + 'static {
    /// Go on with the result of what was waited for; with `None` at first.
    ///
    /// # Errors
    /// What [`Run::recover`] is given.
    fn proceed<'py>(&mut self, py: Python<'py>, value: Bound<'py, PyAny>) -> PyResult<Next>;

    /// Go on with an exception of what was waited for, or of `proceed`.
    ///
    /// # Errors
    /// What awaiting it raises.
    fn recover(&mut self, py: Python<'_>, error: PyErr) -> PyResult<Next>;

    /// Take note that what is awaited has suspended, once for each that does.
    ///
    /// # Errors
    /// What [`Run::recover`] is given.
    fn suspended(&mut self, _py: Python<'_>) -> PyResult<()> {
        Ok(())
    }

    /// Take note that it is closed: what it does from here on must not suspend.
    fn closing(&mut self) {}

    /// Show what it holds to Python's garbage collector.
    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError>;
}

/// What a step leads to.
pub(crate) enum Next {
    /// Wait for this, then go on.
    Await(Py<PyAny>),
    /// It is over; this is what awaiting it gives.
    Done(Py<PyAny>),
}

/// How what is suspended is resumed.
pub(crate) enum Input<'py> {
    Value(Bound<'py, PyAny>),
    Error(PyErr),
}

impl Input<'_> {
    fn none(py: Python<'_>) -> Input<'_> {
        Input::Value(py.None().into_bound(py))
    }

    /// The exception that the arguments of `throw` mean.
    pub(crate) fn thrown(kind: Bound<'_, PyAny>, value: Option<Bound<'_, PyAny>>) -> PyResult<Self> {
        let error = match (kind.cast::<PyType>(), value) {
            (Ok(_), Some(value)) if value.is_instance_of::<PyBaseException>() => value,
            (Ok(class), Some(value)) => class.call1((value,))?,
            (Ok(class), None) => class.call0()?,
            (Err(_), _) => kind,
        };
        Ok(Self::Error(PyErr::from_value(error)))
    }
}

/// Run to where something suspends, or to the end.
///
/// A panic is recovered from like an exception, once.
fn advance<'py, R: Run + ?Sized>(
    run: &mut R,
    py: Python<'py>,
    awaiting: &mut Option<Py<PyAny>>,
    input: Input<'py>,
) -> PyResult<Sent<'py>> {
    match caught(|| advance_unguarded(run, py, awaiting, input)) {
        Ok(outcome) => outcome,
        Err(panic) => guarded(|| {
            drop(awaiting.take());
            advance_unguarded(run, py, awaiting, Input::Error(panic))
        }),
    }
}

#[inline]
fn advance_unguarded<'py, R: Run + ?Sized>(
    run: &mut R,
    py: Python<'py>,
    awaiting: &mut Option<Py<PyAny>>,
    input: Input<'py>,
) -> PyResult<Sent<'py>> {
    let mut result = match (awaiting.take(), input) {
        (Some(iterator), input) => match resume(iterator.bind(py), input) {
            Ok(Sent::Yielded(object)) => {
                *awaiting = Some(iterator);
                return Ok(Sent::Yielded(object));
            }
            Ok(Sent::Returned(value)) => Ok(value),
            Err(error) => Err(error),
        },
        (None, Input::Value(value)) => Ok(value),
        (None, Input::Error(error)) => Err(error),
    };
    loop {
        let next = result.and_then(|value| run.proceed(py, value)).or_else(|error| run.recover(py, error))?;
        let object = match next {
            Next::Await(object) => object,
            Next::Done(value) => return Ok(Sent::Returned(value.into_bound(py))),
        };
        let sent = iterator(object.into_bound(py))
            .and_then(|iterator| Ok((ffi::send(&iterator, py.None().bind(py))?, iterator)));
        result = match sent {
            Ok((Sent::Yielded(object), iterator)) => match run.suspended(py) {
                Ok(()) => {
                    *awaiting = Some(iterator.unbind());
                    return Ok(Sent::Yielded(object));
                }
                // What waits already is given up; the failure is met like any other.
                Err(error) => close(&iterator).and(Err(error)),
            },
            Ok((Sent::Returned(value), _)) => Ok(value),
            Err(error) => Err(error),
        };
    }
}

struct Suspended {
    run: Box<dyn Run>,
    /// The iterator of what it waits for; none before the first step.
    awaiting: Option<Py<PyAny>>,
    /// What that yielded in [`begin`], until somebody awaits the rest.
    pending: Option<Py<PyAny>>,
}

enum State {
    Suspended(Suspended),
    /// A call resumes it, and has what it holds.
    Running,
    Over,
}

/// What is awaited, as Python sees it: a coroutine without a frame.
#[pyclass(frozen, module = "ferroapi._core")]
pub(crate) struct Awaitable(Locked<State>);

/// Run to where it first waits, and give what is to be awaited for the rest; nothing if it is over.
///
/// What never waits is over without an object for it, which is why the caller must be in its task already.
///
/// # Errors
/// What awaiting it raises.
pub(crate) fn begin<R: Run>(py: Python<'_>, mut run: Box<R>) -> PyResult<Option<Awaitable>> {
    let mut awaiting = None;
    match advance(&mut *run, py, &mut awaiting, Input::none(py))? {
        Sent::Yielded(object) => {
            let suspended = Suspended { run, awaiting, pending: Some(object.unbind()) };
            Ok(Some(Awaitable(Locked::new(State::Suspended(suspended)))))
        }
        Sent::Returned(_) => Ok(None),
    }
}

impl Awaitable {
    /// What has not begun.
    pub(crate) fn new(run: impl Run) -> Self {
        Self::of(Box::new(run))
    }

    /// The same, of what lies on the heap already.
    pub(crate) fn of(run: Box<dyn Run>) -> Self {
        Self(Locked::new(State::Suspended(Suspended { run, awaiting: None, pending: None })))
    }

    fn resume<'py>(&self, py: Python<'py>, input: Input<'py>) -> PyResult<Sent<'py>> {
        let state = self.0.with(py, |state| match state {
            State::Suspended(_) => std::mem::replace(state, State::Running),
            State::Running => State::Running,
            State::Over => State::Over,
        });
        let mut suspended = match state {
            State::Suspended(suspended) => suspended,
            State::Running => return Err(Error::Running.into()),
            State::Over => return Err(Error::Resumed.into()),
        };
        let outcome = match (suspended.pending.take(), input) {
            (Some(pending), Input::Value(_)) => Ok(Sent::Yielded(pending.into_bound(py))),
            (_, input) => advance(suspended.run.as_mut(), py, &mut suspended.awaiting, input),
        };
        let is_over = !matches!(outcome, Ok(Sent::Yielded(_)));
        let state = if is_over { State::Over } else { State::Suspended(suspended) };
        drop(self.0.replace(py, state));
        outcome
    }
}

#[pymethods]
impl Awaitable {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.0.visit(&visit, |state| match state {
            State::Suspended(Suspended { run, awaiting, pending }) => {
                visit.call(awaiting)?;
                visit.call(pending)?;
                run.visit(&visit)
            }
            State::Running | State::Over => Ok(()),
        })
    }

    fn __clear__(&self, py: Python<'_>) {
        drop(self.0.replace(py, State::Over));
    }

    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// `None` ends the iteration without an exception object, as a coroutine that returns `None` does.
    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.resume(py, Input::none(py))? {
            Sent::Yielded(object) => Ok(Some(object)),
            Sent::Returned(value) if value.is_none() => Ok(None),
            Sent::Returned(value) => Err(PyStopIteration::new_err((value.unbind(),))),
        }
    }

    fn send<'py>(&self, py: Python<'py>, value: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.resume(py, Input::Value(value)).and_then(yielded)
    }

    #[pyo3(signature = (kind, value=None, _traceback=None))]
    fn throw<'py>(
        &self,
        py: Python<'py>,
        kind: Bound<'py, PyAny>,
        value: Option<Bound<'py, PyAny>>,
        _traceback: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.resume(py, Input::thrown(kind, value)?).and_then(yielded)
    }

    /// Raise `GeneratorExit` where it waits, as for a coroutine; one that has not begun is given up.
    ///
    /// A task that is woken with a `GeneratorExit`, such as one of a worker thread, closes what it awaits, too.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let has_begun = self.0.with(py, |state| match state {
            State::Suspended(Suspended { awaiting: Some(_), run, .. }) => {
                run.closing();
                true
            }
            State::Suspended(_) | State::Over => false,
            State::Running => true,
        });
        if !has_begun {
            drop(self.0.replace(py, State::Over));
            return Ok(());
        }
        match self.resume(py, Input::Error(PyGeneratorExit::new_err(()))) {
            Ok(Sent::Yielded(_)) => Err(Error::Ignored.into()),
            Ok(Sent::Returned(_)) => Ok(()),
            Err(error) if error.is_instance_of::<PyGeneratorExit>(py) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The exception object with its traceback, which `PyErr` keeps beside it.
pub(crate) fn exception(py: Python<'_>, error: &PyErr) -> Py<PyAny> {
    error.clone_ref(py).into_value(py).into_any()
}

/// What `send` and `throw` give: the object, or `StopIteration` with the result, without one for `None`, as of a coroutine.
pub(crate) fn yielded(sent: Sent<'_>) -> PyResult<Bound<'_, PyAny>> {
    match sent {
        Sent::Yielded(object) => Ok(object),
        Sent::Returned(value) if value.is_none() => Err(PyStopIteration::new_err(())),
        Sent::Returned(value) => Err(PyStopIteration::new_err((value.unbind(),))),
    }
}

/// What `await object` iterates over.
#[inline]
pub(crate) fn iterator(object: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let is_its_own =
        ffi::is_coroutine(&object) || object.get_type_ptr() == names::async_generator_step(object.py())?.as_type_ptr();
    if is_its_own { Ok(object) } else { other_iterator(&object) }
}

#[inline(never)]
fn other_iterator<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    match object.call_method0(intern!(py, "__await__")) {
        Ok(iterator) => Ok(iterator),
        Err(_) if !object.hasattr(intern!(py, "__await__"))? => {
            let name = object.get_type().name()?;
            Err(PyTypeError::new_err(if py.version_info() >= (3, 14) {
                format!("'{name}' object can't be awaited")
            } else {
                format!("object {name} can't be used in 'await' expression")
            }))
        }
        Err(error) => Err(error),
    }
}

/// Pass a value or an exception on to what is awaited, which is closed by `GeneratorExit`.
///
/// Source: `CPython` behaviour, `_gen_throw` of `Objects/genobject.c`.
pub(crate) fn resume<'py>(iterator: &Bound<'py, PyAny>, input: Input<'py>) -> PyResult<Sent<'py>> {
    let py = iterator.py();
    let error = match input {
        Input::Value(value) => return ffi::send(iterator, &value),
        Input::Error(error) => error,
    };
    if error.is_instance_of::<PyGeneratorExit>(py) {
        close(iterator)?;
        return Err(error);
    }
    if !iterator.hasattr(intern!(py, "throw"))? {
        return Err(error);
    }
    match iterator.call_method1(intern!(py, "throw"), (exception(py, &error),)) {
        Ok(object) => Ok(Sent::Yielded(object)),
        Err(stop) if stop.is_instance_of::<PyStopIteration>(py) => {
            Ok(Sent::Returned(stop.value(py).getattr(intern!(py, "value"))?))
        }
        Err(error) => Err(error),
    }
}

/// Give up what is awaited, if it has a way to be told.
pub(crate) fn close(iterator: &Bound<'_, PyAny>) -> PyResult<()> {
    let name = intern!(iterator.py(), "close");
    if iterator.hasattr(name)? { iterator.call_method0(name).map(drop) } else { Ok(()) }
}

/// Set the mark by which a future says that it is awaited, and which the task takes off that begins to wait.
///
/// It is off between a step by hand and the task's own: another task may await the same future meanwhile.
pub(crate) fn mark_awaited(pending: &Bound<'_, PyAny>, is_awaited: bool) -> PyResult<()> {
    let mark = intern!(pending.py(), "_asyncio_future_blocking");
    if !pending.is_none() && pending.hasattr(mark)? { pending.setattr(mark, is_awaited) } else { Ok(()) }
}

/// What a method of a task returns, which is looked up once for asyncio's own class: that takes 200 instructions.
///
/// # Errors
/// Whatever the method of another class raises.
pub(crate) fn ask_task<'py>(
    task: &Bound<'py, PyAny>,
    name: &Bound<'py, PyString>,
    known: &PyOnceLock<Py<PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let (py, class) = (task.py(), names::own_task(task.py())?);
    if !task.get_type().is(class) {
        return task.call_method0(name);
    }
    let method = known.get_or_try_init(py, || class.getattr(name).map(Bound::unbind))?;
    ffi::vectorcall(method.bind(py), std::slice::from_ref(task.as_unbound()), None)
}

/// Whether somebody has asked a task to end.
pub(crate) fn is_cancelling(task: &Bound<'_, PyAny>) -> PyResult<bool> {
    static METHOD: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    Ok(!task.is_none() && ask_task(task, intern!(task.py(), "cancelling"), &METHOD)?.is_truthy()?)
}
