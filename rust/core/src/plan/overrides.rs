//! The plans of one route under `dependency_overrides`: one for each series of answers that its lookups have met.
//!
//! Each dependency is looked up as it is solved, since what is called before may set overrides. A plan is made for some
//! answers; where another answer comes, the plan that was made for that is the same up to there, so the solver goes on
//! with it.
//! Source: FastAPI behaviour, `dependencies.utils.solve_dependencies`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyDictMethods, PyFunction};
use pyo3::{PyTraverseError, PyVisit};

use super::Plan;
use crate::{names, witness};

/// How many plans one route keeps under overrides: the least recently used makes room.
const MOST_KEPT: usize = 8;

/// One dependency that is looked up among the overrides.
#[pyclass(frozen, module = "ferroapi._core")]
#[derive(Debug)]
pub(crate) struct Lookup {
    declared: Py<PyAny>,
    /// What the plan calls in its place.
    expected: Py<PyAny>,
}

#[pymethods]
impl Lookup {
    /// The lookup of `declared`, for which the plan calls `expected`.
    #[new]
    #[pyo3(signature = (*, declared, expected))]
    fn new(declared: Py<PyAny>, expected: Py<PyAny>) -> Self {
        Self { declared, expected }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.declared)?;
        visit.call(&self.expected)
    }
}

/// What came of a lookup.
pub(crate) enum LookedUp {
    /// What the plan calls.
    Expected,
    /// Another callable.
    Other(Py<PyAny>),
    /// The lookup may run code of the application, or has another answer: it is made on the event loop.
    OnLoop,
}

/// The plans, the most recently used first.
#[derive(Debug, Default)]
pub(crate) struct Variants(Mutex<Vec<Py<Plan>>>);

impl Variants {
    fn lock(&self) -> MutexGuard<'_, Vec<Py<Plan>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all(&self, py: Python<'_>) -> Vec<Py<Plan>> {
        self.lock().iter().map(|plan| plan.clone_ref(py)).collect()
    }

    /// Keep a plan in front of all others.
    fn put_first(&self, py: Python<'_>, plan: &Py<Plan>) {
        let mut plans = self.lock();
        let place = plans.iter().position(|kept| kept.is(plan));
        let moved = place.map_or_else(|| plan.clone_ref(py), |place| plans.remove(place));
        plans.insert(0, moved);
        let last = if plans.len() > MOST_KEPT { plans.pop() } else { None };
        // The end of a plan may run code of the application, which may come back here.
        drop(plans);
        drop(last);
    }

    pub(super) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        // Nobody holds the lock while Python runs, so that it is free whenever the collector comes.
        self.0.try_lock().map_or(Ok(()), |plans| plans.iter().try_for_each(|plan| visit.call(plan)))
    }
}

/// Whether two callables are one: the bound methods of an object are made anew each time they are asked for.
fn is_same(left: &Bound<'_, PyAny>, right: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = left.py();
    let class = names::bound_method(py)?;
    if left.is(right) || !left.get_type().is(class) || !right.get_type().is(class) {
        return Ok(left.is(right));
    }
    let (function, object) = (intern!(py, "__func__"), intern!(py, "__self__"));
    Ok(left.getattr(function)?.is(&right.getattr(function)?) && left.getattr(object)?.is(&right.getattr(object)?))
}

fn is_empty_dict(overrides: &Bound<'_, PyAny>) -> bool {
    overrides.cast_exact::<PyDict>().is_ok_and(PyDictMethods::is_empty)
}

impl Plan {
    /// Whether there are no overrides, as far as that is seen without asking the application.
    #[inline]
    pub(crate) fn lacks_overrides(&self, py: Python<'_>) -> bool {
        self.overrides.as_ref().is_none_or(|overrides| overrides.unchanged(py).is_some_and(is_empty_dict))
    }

    /// Whether there may be overrides: not where they are a dict, and empty.
    ///
    /// # Errors
    /// Whatever reading the attribute raises.
    #[inline]
    pub(crate) fn has_overrides(&self, py: Python<'_>) -> PyResult<bool> {
        let Some(overrides) = &self.overrides else { return Ok(false) };
        match overrides.unchanged(py) {
            Some(known) => Ok(!is_empty_dict(known)),
            None => Ok(!is_empty_dict(&overrides.get(py)?)),
        }
    }

    /// The overrides of the route's application, if there are any.
    ///
    /// # Errors
    /// Whatever reading the attribute or asking for its truth value raises.
    pub(crate) fn given_overrides<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.overrides.as_ref().map_or(Ok(None), |overrides| overrides.given(py))
    }

    /// The plan that a request under overrides begins with: the one whose answers the last has met, if it is not this.
    ///
    /// # Errors
    /// Whatever reading the overrides raises.
    #[inline]
    pub(crate) fn latest_variant(&self, py: Python<'_>) -> PyResult<Option<Py<Self>>> {
        if self.overrides.is_none() {
            return Ok(None);
        }
        let latest = self.variants.lock().first().map(|plan| plan.clone_ref(py));
        Ok(if latest.is_some() && self.has_overrides(py)? { latest } else { None })
    }

    /// Whether these are the answers to its first lookups that it was made for.
    fn is_for(&self, py: Python<'_>, answers: &[Py<PyAny>]) -> PyResult<bool> {
        for (index, answer) in answers.iter().enumerate() {
            let Some(lookup) = self.lookups.get(index) else { return Ok(false) };
            if !is_same(lookup.get().expected.bind(py), answer.bind(py))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The plan like `current` up to the lookup `index`, which has the answer `call`.
    ///
    /// # Errors
    /// Whatever analysing an override raises.
    #[cold]
    pub(crate) fn variant(
        base: &Py<Self>,
        py: Python<'_>,
        current: &Self,
        (index, call): (usize, Py<PyAny>),
    ) -> PyResult<Py<Self>> {
        let known = current.lookups.iter().take(index).map(|lookup| lookup.get().expected.clone_ref(py));
        let answers: Vec<_> = known.chain([call]).collect();
        let variants = &base.get().variants;
        let replaced = witness::replaced(py)?;
        for plan in [base.clone_ref(py)].into_iter().chain(variants.all(py)) {
            if plan.get().is_for(py, &answers)? && plan.get().parts & replaced == 0 {
                if !plan.is(base) {
                    variants.put_first(py, &plan);
                }
                return Ok(plan);
            }
        }
        let made = base.get().operation.call_method1(py, intern!(py, "overridden"), (answers,))?;
        let plan = made.extract::<Py<Self>>(py)?;
        variants.put_first(py, &plan);
        Ok(plan)
    }

    /// Look a dependency up among the overrides.
    ///
    /// # Errors
    /// Whatever the mapping raises: `TypeError` for a dependency that is not hashable.
    pub(crate) fn look_up(&self, py: Python<'_>, lookup: &Lookup, on_loop: bool) -> PyResult<LookedUp> {
        let declared = lookup.declared.bind(py);
        let call = match self.given_overrides(py)? {
            None => declared.clone(),
            Some(overrides) => match overrides.cast_exact::<PyDict>() {
                Ok(overrides) if on_loop || declared.is_exact_instance_of::<PyFunction>() => {
                    overrides.get_item(declared)?.unwrap_or_else(|| declared.clone())
                }
                Err(_) if on_loop => overrides.call_method1(intern!(py, "get"), (declared, declared))?,
                _ => return Ok(LookedUp::OnLoop),
            },
        };
        Ok(if is_same(lookup.expected.bind(py), &call)? {
            LookedUp::Expected
        } else if on_loop {
            LookedUp::Other(call.unbind())
        } else {
            LookedUp::OnLoop
        })
    }
}
