//! The tree against a scan of regular expressions, which is what Starlette does.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
use proptest::prelude::*;
use regex::Regex;
use wire::{Find, Routes, Template};

/// A route as the strategies write it.
#[derive(Clone, Debug)]
struct Listed {
    path: String,
    methods: Vec<&'static str>,
}

/// The slow reference: each route a regular expression, asked in order.
struct Scan {
    routes: Vec<(Regex, Vec<&'static str>)>,
}

type Answer = Option<(bool, usize, Vec<String>)>;

impl Scan {
    fn new(list: &[Listed]) -> Self {
        let placeholder = Regex::new(r"\{([a-zA-Z_][a-zA-Z0-9_]*)(:[a-zA-Z_][a-zA-Z0-9_]*)?\}").unwrap();
        let compile = |path: &str| {
            let mut expression = String::from(r"\A");
            let mut end = 0;
            for found in placeholder.captures_iter(path) {
                let whole = found.get(0).unwrap();
                expression += &regex::escape(&path[end..whole.start()]);
                expression += match found.get(2).map_or(":str", |convertor| convertor.as_str()) {
                    ":str" => "([^/]+)",
                    ":path" => "(.*)",
                    ":int" => "([0-9]+)",
                    ":float" => r"([0-9]+(?:\.[0-9]+)?)",
                    ":uuid" => "([0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12})",
                    other => panic!("{other}"),
                };
                end = whole.end();
            }
            Regex::new(&(expression + &regex::escape(&path[end..]) + r"\z")).unwrap()
        };
        Self { routes: list.iter().map(|route| (compile(&route.path), route.methods.clone())).collect() }
    }

    fn find(&self, path: &str, method: &str) -> Answer {
        let mut partial = None;
        for (index, (expression, methods)) in self.routes.iter().enumerate() {
            let Some(found) = expression.captures(path) else {
                continue;
            };
            let captures = found.iter().skip(1).map(|group| group.unwrap().as_str().to_owned()).collect();
            let is_full = methods.is_empty() || methods.contains(&method);
            if is_full {
                return Some((true, index, captures));
            }
            partial.get_or_insert((false, index, captures));
        }
        partial
    }
}

fn answer<T>(find: Find<'_, '_, T>) -> Answer {
    let (is_full, found) = match find {
        Find::Full(found) => (true, found),
        Find::Partial(found) => (false, found),
        Find::None => return None,
    };
    Some((is_full, found.index, found.captures.iter().map(str::to_owned).collect()))
}

const UUID: &str = "01234567-89ab-cdef-ABCD-EF0123456789";

/// A piece of a template; `{}` stands for a parameter, whose name the place in the template gives.
fn piece() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "ab", "items", "-", ".", "1", "é", "{x", "}", "\n"]),
        4 => prop::sample::select(vec!["{}", "{}", "{:int}", "{:float}", "{:path}", "{:uuid}"]),
        3 => Just("/"),
    ]
}

fn template() -> impl Strategy<Value = String> {
    let ordinary =
        prop::collection::vec(prop::sample::select(vec!["/a", "/b", "/{}", "/{:int}", "/", "/{}.json", "/1"]), 1..5);
    let wild = prop::collection::vec(piece(), 0..9);
    prop_oneof![3 => ordinary.prop_map(|pieces| number(&pieces, "")), 2 => wild.prop_map(|pieces| number(&pieces, "/"))]
}

/// Joins the pieces and gives each parameter a name of its own.
fn number(pieces: &[&str], start: &str) -> String {
    let mut path = String::from(start);
    for (place, piece) in pieces.iter().enumerate() {
        let named = piece.replace("{:", &format!("{{p{place}:")).replace("{}", &format!("{{p{place}}}"));
        // A brace that is not closed here may be closed by a later piece.
        path += &named.replace("{x", &format!("{{x{place}"));
    }
    path
}

fn route() -> impl Strategy<Value = Listed> {
    let methods = prop::sample::subsequence(vec!["GET", "POST", "PURGE"], 0..=2);
    (template(), methods).prop_map(|(path, methods)| Listed { path, methods })
}

/// Texts that fit the templates often, and sometimes almost.
fn text() -> impl Strategy<Value = String> {
    let words =
        vec!["a", "b", "ab", "1", "12", "1.5", ".", "-", "/", "/", "/", "é", "items", ".json", "\n", UUID, "{x", "}"];
    prop::collection::vec(prop::sample::select(words), 0..9).prop_map(|words| words.concat())
}

/// A list of routes, and paths of which many fit one of them: a template with its parameters replaced by texts.
fn case() -> impl Strategy<Value = (Vec<Listed>, Vec<String>)> {
    let fill = (any::<prop::sample::Index>(), prop::collection::vec(text(), 10));
    let routes = prop::collection::vec(route(), 1..14);
    (routes, prop::collection::vec(fill, 4), prop::collection::vec(text(), 2)).prop_map(|(routes, fills, texts)| {
        let placeholder = Regex::new(r"\{p[0-9]+(?::([a-z]+))?\}").unwrap();
        let filled = fills.iter().map(|(index, values)| {
            let mut values = values.iter().cycle();
            let fill_one = |found: &regex::Captures<'_>| match found.get(1).map(|name| name.as_str()) {
                Some("uuid") => UUID.to_owned(),
                Some("int") => "12".to_owned(),
                Some("float") => "1.25".to_owned(),
                Some(_) => values.next().unwrap().clone(),
                None => format!("a{}", values.next().unwrap().replace('/', "-")),
            };
            placeholder.replace_all(&index.get(&routes).path, fill_one).into_owned()
        });
        let free = texts.iter().map(|text| format!("/{text}"));
        let paths = filled.chain(free).collect();
        (routes, paths)
    })
}

/// At least 2,000 cases; more by the environment variable `PROPTEST_CASES`.
fn configuration() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig { cases: default.cases.max(2000), failure_persistence: None, ..default }
}

proptest! {
    #![proptest_config(configuration())]

    #[test]
    fn find_is_the_scan_of_regular_expressions((list, paths) in case(), method in prop::sample::select(vec!["GET", "POST", "PURGE", "BREW"])) {
        let scan = Scan::new(&list);
        let mut routes = Routes::default();
        for route in &list {
            routes.insert(Template::parse(&route.path).unwrap(), &route.methods);
        }
        for path in &paths {
            let allows = |methods: &&Vec<&str>| methods.is_empty() || methods.contains(&method);
            prop_assert_eq!(answer(routes.find(path, allows)), scan.find(path, method), "{} {:?}", method, path);
        }
    }
}
