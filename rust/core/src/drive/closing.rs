//! The ends of generators: those of function scope before the answer is sent, the others after it.

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;

use super::{Driver, Stage};
use crate::awaitable::Next;
use crate::names;
use crate::teardown::{self, EnteredKind, GeneratorEnd, Lifetime};
use crate::worker_thread::{self, Called, Limiter};

/// What is awaited at the end of an async generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Its next step, which is to be the last.
    Step,
    /// The cancellation of a scope that was entered and is not left yet, if there is one.
    Checkpoint,
}

impl Driver {
    pub(super) fn finish(&mut self, py: Python<'_>) -> PyResult<Next> {
        self.stage = Stage::ClosingRequest;
        for lifetime in [Lifetime::Request, Lifetime::Connection] {
            if let Some(closing) = self.close_next(py, lifetime)? {
                return Ok(closing);
            }
        }
        let Some(files) = self.files.take() else { return Ok(Next::Done(py.None())) };
        self.stage = Stage::ClosingFiles;
        Ok(Next::Await(names::close_files(py)?.call1((files,))?.unbind()))
    }

    /// Run the generator that was entered last from its `yield` to its end; nothing if there is none left.
    #[inline]
    pub(super) fn close_next(&mut self, py: Python<'_>, lifetime: Lifetime) -> PyResult<Option<Next>> {
        if self.teardown.is_unneeded() { Ok(None) } else { self.close_entered(py, lifetime) }
    }

    fn close_entered(&mut self, py: Python<'_>, lifetime: Lifetime) -> PyResult<Option<Next>> {
        while let Some(entered) = self.teardown.pop(py, lifetime) {
            let ending = match entered.kind {
                EnteredKind::Scope => {
                    let nothing = (py.None(), py.None(), py.None());
                    entered.object.call_method1(py, intern!(py, "__exit__"), nothing)?;
                    continue;
                }
                EnteredKind::Stack if !teardown::is_used(entered.object.bind(py))? => continue,
                EnteredKind::Stack => names::close_stack(py)?.call1((entered.object,))?,
                EnteredKind::Async => {
                    let scope = self.teardown.scope(py);
                    let unscoped = names::unscoped(py)?;
                    if scope.as_ref().is_some_and(|scope| scope.bind(py).get_type().is(unscoped)) {
                        self.ending = Some(Ending::Step);
                        entered.object.bind(py).call_method0(intern!(py, "__anext__"))?
                    } else {
                        names::close_async(py)?.call1((entered.object, scope))?
                    }
                }
                EnteredKind::Plain => {
                    let end = Bound::new(py, GeneratorEnd { generator: entered.object })?.into_any();
                    match worker_thread::call(&end, Limiter::Own, &self.plan(py)?.get().short_teardown)? {
                        Called::Awaiting(ending) => ending.into_bound(py),
                        Called::Returned(stopped) if stopped.is_truthy(py)? => continue,
                        Called::Returned(_) => return Err(not_stopped()),
                    }
                }
            };
            return Ok(Some(Next::Await(ending.unbind())));
        }
        Ok(None)
    }

    /// A generator has ended (`stopped` is true), or has yielded again.
    pub(super) fn closed(&mut self, py: Python<'_>, stopped: &Bound<'_, PyAny>) -> PyResult<Next> {
        match self.ending.take() {
            None if !stopped.is_truthy()? => Err(not_stopped()),
            Some(Ending::Step) => Err(not_stopped()),
            None | Some(Ending::Checkpoint) => self.close_others(py),
        }
    }

    /// An async generator has ended that no cancel scope was around when it was entered.
    pub(super) fn ended(&mut self, py: Python<'_>) -> PyResult<Next> {
        if let Some(scope) = self.teardown.scope(py) {
            // Nothing is run between this and the end of the scope if nothing else is left to end.
            let is_last = self.stage == Stage::ClosingRequest && self.teardown.has_one(py);
            let ask = if is_last { intern!(py, "leave") } else { intern!(py, "is_left") };
            let is_left = scope.bind(py).call_method0(ask)?.is_truthy()?;
            if is_left && is_last {
                drop(self.teardown.pop(py, Lifetime::Request));
            }
            if !is_left {
                self.ending = Some(Ending::Checkpoint);
                return Ok(Next::Await(names::checkpoint_if_cancelled(py)?.call0()?.unbind()));
            }
        }
        self.close_others(py)
    }

    fn close_others(&mut self, py: Python<'_>) -> PyResult<Next> {
        if self.stage == Stage::ClosingFunction { self.close_function_scope(py) } else { self.finish(py) }
    }
}

/// The error of a generator that yielded again, in `contextlib`'s words.
fn not_stopped() -> PyErr {
    PyRuntimeError::new_err("generator didn't stop")
}
