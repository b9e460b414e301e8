//! Which entry of a table answers, among those with a template and those that only Python can match.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use wire::Find;

use super::RouteTable;
use super::listing::Listing;
use crate::entry::{Allowed, Entry};

/// The entry that was selected, and what its `matches` returned if Python matched it.
pub(super) struct Selected<'py> {
    pub(super) entry: usize,
    is_full: bool,
    pub(super) matched: Option<Bound<'py, PyAny>>,
}

/// `starlette.routing.Match`.
enum Match {
    Full,
    Partial,
    None,
}

impl RouteTable {
    /// The entry that answers path and method, else the first one that answers the path, among those with a template.
    #[inline]
    pub(super) fn look_up<'p>(
        &self,
        listing: &'p Listing,
        path: &'p str,
        method: Option<&Bound<'_, PyString>>,
    ) -> PyResult<Find<'p, 'p, usize>> {
        let allowed = Allowed::new(method);
        let is_allowed = |index: &usize| self.entry(*index).is_some_and(|entry| allowed.is_answered_by(entry));
        let found = listing.routes.find(path, is_allowed);
        allowed.checked(found)
    }

    fn entry(&self, index: usize) -> Option<&Entry> {
        self.entries.get(index).map(Py::get)
    }

    /// The entry that answers, full match first; those that only Python can match are called in their turn.
    pub(super) fn find<'py>(
        &self,
        scope: &Bound<'py, PyDict>,
        listing: &Listing,
        path: &str,
        method: Option<&Bound<'py, PyString>>,
    ) -> PyResult<Option<Selected<'py>>> {
        let mut best = match self.look_up(listing, path, method)? {
            Find::Full(found) => Some(Selected { entry: *found.value, is_full: true, matched: None }),
            Find::Partial(found) => Some(Selected { entry: *found.value, is_full: false, matched: None }),
            Find::None => None,
        };
        for &entry in &listing.matched_by_python {
            let before = best.as_ref().is_none_or(|best| entry < best.entry);
            if !before && best.as_ref().is_some_and(|best| best.is_full) {
                break;
            }
            let (found, matched) = self.match_by_python(scope, entry)?;
            let matched = Some(matched);
            match found {
                Match::Full => return Ok(Some(Selected { entry, is_full: true, matched })),
                Match::Partial if before => {
                    best = best.filter(|best| best.is_full).or(Some(Selected { entry, is_full: false, matched }));
                }
                _ => {}
            }
        }
        Ok(best)
    }

    /// Call `matches` of a route that only Python can match; return what it says, read and as it is.
    fn match_by_python<'py>(&self, scope: &Bound<'py, PyDict>, index: usize) -> PyResult<(Match, Bound<'py, PyAny>)> {
        let py = scope.py();
        let Some(entry) = self.entry(index) else { return Ok((Match::None, py.None().into_bound(py))) };
        let matched = entry.route.bind(py).call_method1(intern!(py, "matches"), (scope,))?;
        let found = match matched.get_item(0)?.getattr(intern!(py, "value"))?.extract::<u8>()? {
            2 => Match::Full,
            1 => Match::Partial,
            _ => Match::None,
        };
        Ok((found, matched))
    }

    /// Whether an entry that only Python can match may match before the entry `limit`.
    ///
    /// The driver leaves such a request to Python, so that the application's code is called there, and called once.
    pub(super) fn may_python_match(
        &self,
        listing: &Listing,
        scope: Option<&Bound<'_, PyDict>>,
        limit: Option<usize>,
        path: &str,
    ) -> PyResult<bool> {
        for index in listing.matched_by_python.iter().take_while(|index| limit.is_none_or(|limit| **index < limit)) {
            // Python's `matches` needs a scope.
            let Some(scope) = scope else { return Ok(true) };
            if self.entry(*index).map_or(Ok(false), |entry| entry.may_match(scope, path))? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
