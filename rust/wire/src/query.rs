//! The decoded pairs of a query string, in order.
//! Above percent-decoding; which pair belongs to which parameter is the caller's business.
use std::borrow::Cow;

use crate::percent::unquote_plus;

/// A decoded name and value.
pub type Pair<'q> = (Cow<'q, str>, Cow<'q, str>);

/// The decoded pairs of a query string.
///
/// Source: Starlette's `QueryParams`, which is `urllib.parse.parse_qsl(raw.decode("latin-1"), keep_blank_values=True)`: parts are
/// divided by `&` only, empty parts are skipped, a part without `=` is a name with an empty value.
pub fn pairs(raw: &[u8]) -> impl Iterator<Item = Pair<'_>> {
    raw_pairs(raw).map(|(name, value)| (unquote_plus(name), unquote_plus(value)))
}

/// The pairs before they are decoded.
pub(crate) fn raw_pairs(raw: &[u8]) -> RawPairs<'_> {
    RawPairs { rest: Some(raw) }
}

/// See [`raw_pairs`].
#[derive(Clone, Debug)]
pub(crate) struct RawPairs<'q> {
    rest: Option<&'q [u8]>,
}

impl<'q> Iterator for RawPairs<'q> {
    type Item = (&'q [u8], &'q [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (part, rest) = split_once(self.rest?, b'&');
            self.rest = rest;
            if !part.is_empty() {
                let (name, value) = split_once(part, b'=');
                return Some((name, value.unwrap_or_default()));
            }
        }
    }
}

/// The bytes before the first separator, and those after it, if there is one.
pub(crate) fn split_once(bytes: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(separator, bytes).and_then(|position| bytes.split_at_checked(position)) {
        Some((before, after)) => (before, after.get(1..)),
        None => (bytes, None),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Pair, pairs};

    /// A text and the pairs it has to give.
    pub(crate) type Case = (&'static [u8], &'static [(&'static str, &'static str)]);

    pub(crate) fn assert_pairs<'q>(found: impl Iterator<Item = Pair<'q>>, (raw, expected): Case) {
        let found: Vec<_> = found.collect();
        let found: Vec<_> = found.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(found, expected, "{}", raw.escape_ascii());
    }

    #[test]
    fn pairs_are_those_of_parse_qsl() {
        let table: [Case; 11] = [
            (b"", &[]),
            (b"&&", &[]),
            (b"a=1&b=2&a=3", &[("a", "1"), ("b", "2"), ("a", "3")]),
            (b"a", &[("a", "")]),
            (b"a=&=b&=", &[("a", ""), ("", "b"), ("", "")]),
            (b"a=b=c", &[("a", "b=c")]),
            (b"a;b=1;c=2", &[("a;b", "1;c=2")]),
            (b"?a=1", &[("?a", "1")]),
            (b"a%3Db=%26+x%20", &[("a=b", "& x ")]),
            (b"&a=1&", &[("a", "1")]),
            (b"n=caf\xe9&m=caf%C3%A9&o=%E9\xe9", &[("n", "café"), ("m", "café"), ("o", "\u{fffd}é")]),
        ];
        for case in table {
            assert_pairs(pairs(case.0), case);
        }
    }
}
