//! A route's path, such as `/items/{id:int}.json`, read once into segments that the tree can share.
//! Above convertors, below the tree; knows neither methods nor other routes.
use std::collections::HashSet;

use crate::captures::Captures;
use crate::convertor::Convertor;
use crate::pattern::{Pattern, Piece};

/// A route's path, ready to match.
///
/// Source: Starlette, `routing.compile_path`. One decided difference: a newline at the end of a path is never ignored.
#[derive(Clone, Debug)]
pub struct Template {
    path: Box<str>,
    parameters: Box<[Parameter]>,
    pub(crate) segments: Box<[Segment]>,
    pub(crate) tail: Option<Pattern>,
}

#[derive(Clone, Debug)]
struct Parameter {
    name: Box<str>,
    convertor: Convertor,
}

/// What a template says about the text between two slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    Literal(Box<str>),
    Parameter(Convertor),
    Mixed(Pattern),
}

impl Template {
    /// Reads a path; none that only Python can match: a convertor is the application's own, two parameters have one name,
    /// or it does not begin with a slash. Braces that do not hold a parameter stand for themselves.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        if !path.is_empty() && !path.starts_with('/') {
            return None;
        }
        let mut builder = Builder::default();
        let mut rest = path;
        while let Some((literal, placeholder)) = next_placeholder(rest) {
            builder.literal(literal);
            builder.parameter(placeholder.name, Convertor::from_name(placeholder.convertor)?);
            rest = placeholder.rest;
        }
        builder.literal(rest);
        builder.finish(path)
    }

    /// The path as it was written.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The parameter names, in the order of the path.
    #[must_use]
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.parameters.iter().map(|parameter| &*parameter.name)
    }

    /// The convertor of each parameter, in the order of the path.
    #[must_use]
    pub fn convertors(&self) -> impl ExactSizeIterator<Item = Convertor> {
        self.parameters.iter().map(|parameter| parameter.convertor)
    }

    /// Whether the path has no parameter.
    #[must_use]
    pub fn is_static(&self) -> bool {
        self.parameters.is_empty()
    }

    /// The text of each parameter, if this template matches the whole path.
    #[must_use]
    pub fn captures<'p>(&self, path: &'p str) -> Option<Captures<'p>> {
        let mut captures = Captures::default();
        if self.is_static() {
            return (path == &*self.path).then_some(captures);
        }
        let mut rest = Some(path);
        for expected in &self.segments {
            let (segment, after) = split_segment(rest?);
            let matched = match expected {
                Segment::Literal(literal) => segment == &**literal,
                Segment::Parameter(convertor) => {
                    captures.push(segment);
                    convertor.accepts(segment)
                }
                Segment::Mixed(pattern) => pattern.capture(segment, &mut captures),
            };
            if !matched {
                return None;
            }
            rest = after;
        }
        let matched = match (&self.tail, rest) {
            (Some(tail), Some(rest)) => tail.capture(rest, &mut captures),
            (None, None) => true,
            _ => false,
        };
        matched.then_some(captures)
    }
}

/// The text before the first slash, and the text after it, if there is a slash.
pub(crate) fn split_segment(path: &str) -> (&str, Option<&str>) {
    match memchr::memchr(b'/', path.as_bytes()).and_then(|slash| path.split_at_checked(slash)) {
        Some((segment, rest)) => (segment, rest.get(1..)),
        None => (path, None),
    }
}

/// A parameter as it is written, and the text behind it.
struct Placeholder<'t> {
    name: &'t str,
    convertor: &'t str,
    rest: &'t str,
}

/// The next `{name}` or `{name:convertor}`, and the literal text before it.
fn next_placeholder(text: &str) -> Option<(&str, Placeholder<'_>)> {
    text.match_indices('{').find_map(|(start, _)| {
        let (literal, braced) = text.split_at_checked(start)?;
        Some((literal, read_placeholder(braced.strip_prefix('{')?)?))
    })
}

fn read_placeholder(text: &str) -> Option<Placeholder<'_>> {
    let (name, rest) = split_identifier(text)?;
    let (convertor, rest) = match rest.strip_prefix(':') {
        Some(after) => split_identifier(after)?,
        None => (Convertor::Str.name(), rest),
    };
    Some(Placeholder { name, convertor, rest: rest.strip_prefix('}')? })
}

fn split_identifier(text: &str) -> Option<(&str, &str)> {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let length = text.bytes().position(|byte| !is_inner(byte)).unwrap_or(text.len());
    let (identifier, rest) = text.split_at_checked(length)?;
    let first = identifier.bytes().next()?;
    (!first.is_ascii_digit()).then_some((identifier, rest))
}

/// Collects the parts of a path into segments, and from the first `path` parameter's segment on into a tail.
#[derive(Default)]
struct Builder {
    parameters: Vec<Parameter>,
    segments: Vec<Segment>,
    open: Vec<Piece>,
    in_tail: bool,
}

impl Builder {
    fn literal(&mut self, text: &str) {
        if self.in_tail {
            return self.extend_open(text);
        }
        let mut pieces = text.split('/');
        self.extend_open(pieces.next().unwrap_or_default());
        for piece in pieces {
            self.close_segment();
            self.extend_open(piece);
        }
    }

    fn parameter(&mut self, name: &str, convertor: Convertor) {
        self.parameters.push(Parameter { name: name.into(), convertor });
        self.open.push(Piece::Parameter(convertor));
        self.in_tail |= convertor == Convertor::Path;
    }

    fn extend_open(&mut self, text: &str) {
        if !text.is_empty() {
            self.open.push(Piece::Literal(text.into()));
        }
    }

    fn close_segment(&mut self) {
        let parts = std::mem::take(&mut self.open);
        let segment = match parts.as_slice() {
            [] => Segment::Literal("".into()),
            [Piece::Literal(literal)] => Segment::Literal(literal.clone()),
            [Piece::Parameter(convertor)] => Segment::Parameter(*convertor),
            _ => Segment::Mixed(Pattern::new(parts)),
        };
        self.segments.push(segment);
    }

    fn finish(mut self, path: &str) -> Option<Template> {
        let names: HashSet<&str> = self.parameters.iter().map(|parameter| &*parameter.name).collect();
        if names.len() < self.parameters.len() {
            return None;
        }
        let tail = if self.in_tail {
            Some(Pattern::new(std::mem::take(&mut self.open)))
        } else {
            self.close_segment();
            None
        };
        Some(Template { path: path.into(), parameters: self.parameters.into(), segments: self.segments.into(), tail })
    }
}

#[cfg(test)]
mod tests {
    use super::Template;

    fn captured<'p>(template: &str, path: &'p str) -> Option<Vec<&'p str>> {
        Template::parse(template).unwrap().captures(path).map(|captures| captures.iter().collect())
    }

    #[test]
    fn parse_reads_names_and_leaves_other_braces_alone() {
        let table: [(&str, &[&str]); 7] = [
            ("", &[]),
            ("/items/{id:int}.json", &["id"]),
            ("/{a}/{b:path}", &["a", "b"]),
            ("/{}/{1a}/{a-b}/{a:}/{a", &[]),
            ("/{{a}}", &["a"]),
            ("/{_x1}", &["_x1"]),
            ("/{é}", &[]),
        ];
        for (path, names) in table {
            let template = Template::parse(path).unwrap();
            assert_eq!(template.names().collect::<Vec<_>>(), names, "{path}");
            assert_eq!(template.path(), path);
            assert_eq!(template.is_static(), names.is_empty());
        }
    }

    #[test]
    fn parse_refuses_what_it_cannot_match() {
        for path in ["/{a}/{b:datetime}", "/{a}/{a:int}", "/{b}/{a}/{b}/{c}", "{a}.example.org"] {
            assert!(Template::parse(path).is_none(), "{path}");
        }
    }

    #[test]
    fn captures_have_no_integers_that_python_does_not_read() {
        let (most, more) = ("9".repeat(4300), "9".repeat(4301));
        for (template, path, expected) in [
            ("/{a:int}", format!("/{most}"), Some(vec![&*most])),
            ("/{a:int}", format!("/{more}"), None),
            ("/{a:int}-{b}", format!("/{most}-x"), Some(vec![&*most, "x"])),
            ("/{a:int}-{b}", format!("/{more}-x"), None),
            ("/{a:int}{b}", format!("/{more}"), Some(vec![&*most, "9"])),
            ("/{b}-{a:int}", format!("/x-{more}"), None),
            ("/{a:int}{b:int}", format!("/{most}{more}"), None),
            ("/{a:int}{b:int}", format!("/{most}{most}"), Some(vec![&*most, &*most])),
            ("/{a:int}/{b:path}", format!("/{more}/x"), None),
        ] {
            assert_eq!(captured(template, &path), expected, "{template}");
        }
    }

    #[test]
    fn captures_are_those_of_a_greedy_regular_expression() {
        let table: [(&str, &str, Option<&[&str]>); 26] = [
            ("", "", Some(&[])),
            ("", "/", None),
            ("/", "/", Some(&[])),
            ("/a/", "/a", None),
            ("/items/{id}", "/items/7", Some(&["7"])),
            ("/items/{id}", "/items/", None),
            ("/items/{id}", "/items/7/", None),
            ("/items/{id}", "/items/a\n", Some(&["a\n"])),
            ("/items/{id:int}.json", "/items/7.json", Some(&["7"])),
            ("/items/{id:int}.json", "/items/7.5.json", None),
            ("/{a}-{b}", "/1-2-3", Some(&["1-2", "3"])),
            ("/{a}{b}", "/xyé", Some(&["xy", "é"])),
            ("/{a}{b}", "/é", None),
            ("/{a}aa{b}", "/aaaaaa", Some(&["aaa", "a"])),
            ("/{a:int}{b:int}", "/123", Some(&["12", "3"])),
            ("/{a:float}{b}", "/1.25", Some(&["1.2", "5"])),
            ("/{a:float}{b}", "/1.2", Some(&["1", ".2"])),
            ("/{a:float}.{b:int}", "/1.2.3", Some(&["1.2", "3"])),
            ("/{a:float}.{b:int}", "/1.2", Some(&["1", "2"])),
            ("/{a:path}", "/", Some(&[""])),
            ("/{a:path}", "/x/\n", None),
            ("/{a:path}/x/{b}", "/1/x/2/x/3", Some(&["1/x/2", "3"])),
            ("/{a:path}/x/{b:path}", "/1/x/2/x/3", Some(&["1/x/2", "3"])),
            ("/v{a}/{b:path}.{c}", "/v1/x.y/z.tar.gz", Some(&["1", "x.y/z.tar", "gz"])),
            (
                "/{u:uuid}{rest}",
                "/01234567-89ab-cdef-ABCD-EF0123456789ab",
                Some(&["01234567-89ab-cdef-ABCD-EF0123456789", "ab"]),
            ),
            ("/{a:path}{b:float}", "/1.5", Some(&["1.", "5"])),
        ];
        for (template, path, expected) in table {
            assert_eq!(captured(template, path).as_deref(), expected, "{template} {path}");
        }
    }

    #[test]
    fn captures_take_linear_time_on_paths_made_to_backtrack() {
        let template = Template::parse("/{a}a{b}a{c}a{d}a{e}a{f}a{g}a{h}b").unwrap();
        let path = format!("/{}", "a".repeat(64 * 1024));
        assert_eq!(template.captures(&path), None);
        let matching = format!("{path}b");
        assert_eq!(template.captures(&matching).map(|captures| captures.iter().len()), Some(8));
    }
}
