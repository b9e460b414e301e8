//! The pairs of a Cookie header.
//! Above latin-1 text; one header at a time: a later header's pairs replace those of an earlier one.
use std::borrow::Cow;

use crate::latin1;
use crate::query::{Pair, split_once};

/// The pairs of a Cookie header, in order.
///
/// Put into a dictionary one after the other they give Starlette's: of equal names the first gives the place and the last the
/// value. Takes time linear in the header.
///
/// Source: Starlette, `requests.cookie_parser`.
pub fn pairs(header: &[u8]) -> impl Iterator<Item = Pair<'_>> {
    header.split(|byte| *byte == b';').filter_map(|chunk| {
        let (name, value) = match split_once(chunk, b'=') {
            (name, Some(value)) => (name, value),
            (value, None) => (&[][..], value),
        };
        let (name, value) = (latin1::trim(name), latin1::trim(value));
        (!name.is_empty() || !value.is_empty()).then(|| (latin1::decode(name), unquote(value)))
    })
}

/// The value without its quotes, with what a backslash escapes inside them put in its place.
///
/// Source: CPython, `http.cookies._unquote`.
fn unquote(value: &[u8]) -> Cow<'_, str> {
    match value {
        [b'"', inner @ .., b'"'] if memchr::memchr(b'\\', inner).is_none() => latin1::decode(inner),
        [b'"', inner @ .., b'"'] => Cow::Owned(unescape(inner)),
        _ => latin1::decode(value),
    }
}

fn unescape(inner: &[u8]) -> String {
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner;
    loop {
        let (byte, after) = match rest {
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] => {
                ((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'), after)
            }
            // A backslash before a line feed is an ordinary character: the regular expression's point skips line feeds.
            [b'\\', escaped, after @ ..] if *escaped != b'\n' => (*escaped, after),
            [byte, after @ ..] => (*byte, after),
            [] => return text,
        };
        text.push(char::from(byte));
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::pairs;
    use crate::query::tests::{Case, assert_pairs};

    #[test]
    fn pairs_are_those_of_cookie_parser() {
        let table: [Case; 17] = [
            (b"", &[]),
            (b" ; ;=;", &[]),
            (b"a=1; b=2;a=3", &[("a", "1"), ("b", "2"), ("a", "3")]),
            (b"flag", &[("", "flag")]),
            (b"=v", &[("", "v")]),
            (b"a=", &[("a", "")]),
            (b"a=b=c", &[("a", "b=c")]),
            (b"\xa0a\x85 = \x1cb\x0b", &[("a", "b")]),
            (b"a=\"x y\"", &[("a", "x y")]),
            (b"a=\"x;y\"", &[("a", "\"x"), ("", "y\"")]),
            (b"a=\"", &[("a", "\"")]),
            (b"a=\"\"", &[("a", "")]),
            (b"a=\"\\101\\\"\\\\\\400\\n\"", &[("a", "A\"\\400n")]),
            (b"a=\"\\377\"", &[("a", "\u{ff}")]),
            (b"a=\"b\\\"", &[("a", "b\\")]),
            (b"a=\"\\\nb\\", &[("a", "\"\\\nb\\")]),
            (b"caf\xe9=\"\\\xe9\\\n\"", &[("café", "é\\\n")]),
        ];
        for case in table {
            assert_pairs(pairs(case.0), case);
        }
    }
}
