//! The routes in the order of their registration, and which of them answers a path.
//! The top of path matching; what a route is worth (`T`), and which methods it answers, is the caller's business.
use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use crate::captures::Captures;
use crate::node::{Search, TreeNode, WordHasher};
use crate::template::Template;

/// What a search found.
#[derive(Debug, PartialEq, Eq)]
pub enum Find<'r, 'p, T> {
    /// The first route that answers the path and is allowed.
    Full(Found<'r, 'p, T>),
    /// No route does both; the first one that answers the path.
    Partial(Found<'r, 'p, T>),
    /// No route answers the path.
    None,
}

/// A route, and what its parameters are.
#[derive(Debug, PartialEq, Eq)]
pub struct Found<'r, 'p, T> {
    /// The place of the route in the order of registration.
    pub index: usize,
    /// What the route was registered with.
    pub value: &'r T,
    /// The texts of its parameters.
    pub captures: Captures<'p>,
}

/// Routes in the order of their registration.
///
/// Source: Starlette, `Router.app` and `Route.matches`: the first full match, else the first partial one.
#[derive(Debug)]
pub struct Routes<T> {
    list: Vec<Route<T>>,
    /// The routes without parameters, by path.
    fixed: HashMap<Box<str>, Fixed, BuildHasherDefault<WordHasher>>,
    /// The routes with parameters.
    tree: TreeNode,
}

#[derive(Debug)]
struct Route<T> {
    template: Template,
    value: T,
}

/// The routes with one path without parameters.
#[derive(Debug, Default)]
struct Fixed {
    /// Their indexes, ascending.
    indexes: Vec<usize>,
    /// The lowest index of a route with parameters that matches the same path, if one was there before the last of these.
    rival: Option<usize>,
}

impl<T> Default for Routes<T> {
    fn default() -> Self {
        Self { list: Vec::new(), fixed: HashMap::default(), tree: TreeNode::default() }
    }
}

impl<T> Routes<T> {
    /// The template of the route at that index.
    #[must_use]
    pub fn template(&self, index: usize) -> Option<&Template> {
        self.list.get(index).map(|route| &route.template)
    }

    /// Adds a route after all others.
    pub fn insert(&mut self, template: Template, value: T) {
        let index = self.list.len();
        if template.is_static() {
            let fixed = self.fixed.entry(template.path().into()).or_default();
            fixed.indexes.push(index);
            let mut lowest = Lowest { below: fixed.rival.unwrap_or(index), found: fixed.rival };
            self.tree.search(Some(template.path()), &mut lowest);
            fixed.rival = lowest.found;
        } else {
            self.tree.insert(&template, index);
        }
        self.list.push(Route { template, value });
    }

    /// The first route that answers the path and that `allows` is content with, else the first that answers the path.
    #[must_use]
    pub fn find<'p>(&self, path: &'p str, allows: impl FnMut(&T) -> bool) -> Find<'_, 'p, T> {
        let mut first = FirstMatch { routes: &self.list, allows, full: None, partial: None };
        let fixed = self.fixed.get(path);
        for index in fixed.into_iter().flat_map(|fixed| &fixed.indexes) {
            if first.wants(*index) {
                first.found(*index);
            }
        }
        if first.full.is_none() || fixed.is_none_or(|fixed| fixed.rival.is_some_and(|rival| first.wants(rival))) {
            self.tree.search(Some(path), &mut first);
        }
        match (first.full, first.partial) {
            (Some(index), _) => self.found(index, path).map_or(Find::None, Find::Full),
            (None, Some(index)) => self.found(index, path).map_or(Find::None, Find::Partial),
            (None, None) => Find::None,
        }
    }

    fn found<'p>(&self, index: usize, path: &'p str) -> Option<Found<'_, 'p, T>> {
        let route = self.list.get(index)?;
        Some(Found { index, value: &route.value, captures: route.template.captures(path)? })
    }
}

/// A search for the lowest full and the lowest partial match.
struct FirstMatch<'r, T, A> {
    routes: &'r [Route<T>],
    allows: A,
    full: Option<usize>,
    partial: Option<usize>,
}

impl<T, A: FnMut(&T) -> bool> Search for FirstMatch<'_, T, A> {
    fn wants(&self, first: usize) -> bool {
        self.full.is_none_or(|full| first < full)
    }

    fn found(&mut self, index: usize) {
        let Some(route) = self.routes.get(index) else {
            return;
        };
        if (self.allows)(&route.value) {
            self.full = Some(index);
        } else if self.partial.is_none_or(|partial| index < partial) {
            self.partial = Some(index);
        }
    }
}

/// A search for the lowest match, whatever its methods.
struct Lowest {
    below: usize,
    found: Option<usize>,
}

impl Search for Lowest {
    fn wants(&self, first: usize) -> bool {
        first < self.below
    }

    fn found(&mut self, index: usize) {
        self.below = index;
        self.found = Some(index);
    }
}

#[cfg(test)]
mod tests {
    use super::{Find, Routes};
    use crate::template::Template;

    type Methods = &'static [&'static str];

    fn routes(list: &[(&str, Methods)]) -> Routes<Methods> {
        let mut routes = Routes::default();
        for (path, methods) in list {
            routes.insert(Template::parse(path).unwrap(), *methods);
        }
        routes
    }

    fn allows(method: &str) -> impl Fn(&Methods) -> bool {
        move |methods| methods.is_empty() || methods.contains(&method)
    }

    #[derive(Debug, PartialEq)]
    enum Answer {
        Full(usize),
        Partial(usize),
        Nothing,
    }

    fn answer<T>(find: &Find<'_, '_, T>) -> Answer {
        match find {
            Find::Full(found) => Answer::Full(found.index),
            Find::Partial(found) => Answer::Partial(found.index),
            Find::None => Answer::Nothing,
        }
    }

    #[test]
    fn find_gives_the_first_full_match_else_the_first_partial_one() {
        use Answer::{Full, Nothing, Partial};
        let routes = routes(&[
            ("/users/{id:int}", &["GET"]),
            ("/users/me", &["GET"]),
            ("/users/{name}", &["POST"]),
            ("/users/{name}", &["GET"]),
            ("/{rest:path}", &["PURGE"]),
            ("/users/me", &[]),
            ("/users/{name}.json", &["GET"]),
            ("/{rest:path}", &["GET"]),
        ]);
        let table = [
            ("/users/7", "GET", Full(0)),
            ("/users/7", "POST", Full(2)),
            ("/users/7", "PUT", Partial(0)),
            ("/users/me", "GET", Full(1)),
            ("/users/me", "POST", Full(2)),
            ("/users/me", "DELETE", Full(5)),
            ("/users/you", "DELETE", Partial(2)),
            ("/users/you.json", "GET", Full(3)),
            ("/users/you", "PURGE", Full(4)),
            ("/", "GET", Full(7)),
            ("/", "get", Partial(4)),
            ("", "GET", Nothing),
            ("users", "GET", Nothing),
        ];
        for (path, method, expected) in table {
            assert_eq!(answer(&routes.find(path, allows(method))), expected, "{method} {path}");
        }
    }

    #[test]
    fn find_returns_value_and_captures() {
        let routes = routes(&[("/a/{x}/{y:int}", &[])]);
        let Find::Full(found) = routes.find("/a/b/7", allows("ANY")) else { panic!("no match") };
        assert!(found.value.is_empty());
        assert_eq!(found.captures.iter().collect::<Vec<_>>(), ["b", "7"]);
        assert_eq!(routes.template(0).map(|template| template.names().collect::<Vec<_>>()), Some(vec!["x", "y"]));
        assert!(routes.template(1).is_none());
    }
}
