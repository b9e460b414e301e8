//! The calls of dependencies and endpoints, and the generators among them, which are entered.

use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::{Arguments, Need, Place, Solver};
use crate::error::Error;
use crate::plan::dependency::CallKind;
use crate::plan::node::Node;
use crate::teardown::{Entered, EnteredKind, Lifetime, inside_async_generator};
use crate::{ffi, names};

impl Solver {
    /// Call the endpoint, observed.
    #[cold]
    #[inline(never)]
    pub(super) fn call_observed(&mut self, py: Python<'_>, node: &Node) -> PyResult<Need> {
        let values = self.values(py, node)?;
        let Some(observer) = &self.observer else { return Err(Error::Resumed.into()) };
        if node.kind == CallKind::Plain {
            observer.call_plain(py, &values).map(Need::Result)
        } else {
            observer.call(py, &values).map(Need::Await)
        }
    }

    /// Call `node` with the collected arguments.
    pub(super) fn call<'py>(&mut self, py: Python<'py>, node: &Node) -> PyResult<Bound<'py, PyAny>> {
        let result = node.call(py, &mut self.arguments);
        self.arguments.drain(..).for_each(|argument| argument.drop_ref(py));
        result
    }

    /// Call a plain callable that shares its thread with others, so that a context variable it sets stays its own.
    pub(super) fn call_in_own_context<'py>(&mut self, py: Python<'py>, node: &Node) -> PyResult<Bound<'py, PyAny>> {
        let context = names::copy_context(py)?.call0()?;
        let run = context.getattr(intern!(py, "run"))?;
        self.arguments.insert(0, node.call.clone_ref(py));
        let arguments = std::mem::take(&mut self.arguments);
        ffi::vectorcall(&run, &arguments, Some(node.keywords.bind(py)))
    }

    /// What a node gives that need not be called: a scheme's credentials, or the value that the application has.
    #[inline]
    pub(super) fn value_without_call(
        &self,
        py: Python<'_>,
        node: &Node,
        place: Place<'_>,
    ) -> PyResult<Option<Py<PyAny>>> {
        if let Some(scheme) = node.scheme.as_ref().filter(|_| !self.is_unusual) {
            return scheme.credentials(node.call.bind(py), &self.collected);
        }
        match (node.kind, place) {
            (CallKind::Lifespan, Place::Loop) => self.lifespan_value(py, node),
            _ => Ok(None),
        }
    }

    /// The value that the application has of a dependency of its lifespan; none where it has yet to be made.
    #[cold]
    fn lifespan_value(&self, py: Python<'_>, node: &Node) -> PyResult<Option<Py<PyAny>>> {
        let scope = self.connection.channels.scope(py)?;
        let value = node.call.bind(py).call_method1(intern!(py, "find"), (scope,))?;
        Ok((!value.is(names::undefined(py)?)).then(|| value.unbind()))
    }

    /// Whether an async generator was on its way to its `yield`; it is not any more.
    pub(crate) fn take_entering(&mut self) -> bool {
        self.entering.take().is_some()
    }

    /// Enter the cancel scope that protects the ends of async generators, before the first of them.
    pub(super) fn enter_scope(&self, py: Python<'_>) -> PyResult<()> {
        if self.teardown.scope(py).is_none() {
            let object = names::enter_scope(py)?.call0()?.unbind();
            self.teardown.push(py, Entered { object, kind: EnteredKind::Scope, lifetime: Lifetime::Request });
        }
        Ok(())
    }

    /// Run a synchronous generator to its `yield`.
    pub(super) fn enter(&mut self, py: Python<'_>, node: &Node, own_context: bool) -> PyResult<Py<PyAny>> {
        let made = if node.kind == CallKind::WrappedGenerator { self.arguments.pop() } else { None };
        let generator = match made {
            Some(generator) => generator.into_bound(py),
            None => self.call(py, node)?,
        };
        let mut next = generator
            .getattr(intern!(py, "__next__"))
            .map_err(|error| unless_iterator(&generator, error, "__next__", "an iterator"))?;
        let mut arguments = Arguments::new();
        if own_context {
            arguments.push(next.unbind());
            next = names::copy_context(py)?.call0()?.getattr(intern!(py, "run"))?;
        }
        match ffi::vectorcall(&next, &arguments, None) {
            Ok(value) => {
                self.teardown.push(
                    py,
                    Entered { object: generator.unbind(), kind: EnteredKind::Plain, lifetime: node.lifetime },
                );
                Ok(value.unbind())
            }
            Err(stop) if stop.is_instance_of::<PyStopIteration>(py) => Err(no_yield()),
            Err(error) => Err(inside_async_generator(py, error)),
        }
    }

    /// The arguments of a node, by name.
    pub(super) fn values<'py>(&mut self, py: Python<'py>, node: &Node) -> PyResult<Bound<'py, PyDict>> {
        let arguments = std::mem::take(&mut self.arguments);
        let values = PyDict::new(py);
        for (name, value) in node.keywords.bind(py).iter().zip(&arguments) {
            values.set_item(name, value)?;
        }
        Ok(values)
    }

    pub(super) fn hand_to_python(&mut self, py: Python<'_>, node: &Node, is_endpoint: bool) -> PyResult<Need> {
        let is_endpoint = is_endpoint && node.kind == CallKind::ByPython;
        let awaitable =
            if is_endpoint { self.call_endpoint_by_python(py, node) } else { self.call_by_python(py, node) };
        awaitable.map(Need::Await)
    }

    /// Let Python call the endpoint.
    #[cold]
    pub(super) fn call_endpoint_by_python(&mut self, py: Python<'_>, node: &Node) -> PyResult<Py<PyAny>> {
        let values = self.values(py, node)?;
        let plan = self.plan.get();
        Ok(names::call_endpoint(py)?.call1((&plan.operation, values))?.unbind())
    }

    /// Let Python call a dependency, and enter it in an exit stack if it is a generator.
    pub(super) fn call_by_python(&mut self, py: Python<'_>, node: &Node) -> PyResult<Py<PyAny>> {
        let values = self.values(py, node)?;
        let stack = self.stacks.as_ref().map(|(request, function)| {
            if node.lifetime == Lifetime::Function { function.clone_ref(py) } else { request.clone_ref(py) }
        });
        let request = self.connection.request(py)?;
        Ok(names::call_dependency(py)?.call1((&node.dependant, values, request, stack))?.unbind())
    }
}

/// The error of a generator that ended before its `yield`, in `contextlib`'s words.
pub(crate) fn no_yield() -> PyErr {
    PyRuntimeError::new_err("generator didn't yield")
}

/// The error of a dependency with `yield` that gave no generator, as one wrapped by `contextmanager` does.
#[cold]
pub(super) fn unless_iterator(generator: &Bound<'_, PyAny>, error: PyErr, method: &str, kind: &'static str) -> PyErr {
    match (generator.hasattr(method), generator.get_type().name()) {
        (Ok(false), Ok(class)) => Error::Iterator { class: class.to_string(), kind }.into(),
        _ => error,
    }
}
