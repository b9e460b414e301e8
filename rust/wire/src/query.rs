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
    parts(raw).map(QuotedPair::decode)
}

/// The pairs, to be decoded by whoever wants them.
#[must_use]
pub fn parts(raw: &[u8]) -> Parts<'_> {
    Parts { rest: Some(raw) }
}

/// A name and a value as they are sent.
#[derive(Clone, Copy, Debug)]
pub struct QuotedPair<'q> {
    /// The name; empty in `=value`.
    pub name: Quoted<'q>,
    /// The value; empty where there is no `=`.
    pub value: Quoted<'q>,
}

impl<'q> QuotedPair<'q> {
    /// The texts of both.
    #[must_use]
    pub fn decode(self) -> Pair<'q> {
        (self.name.decode(), self.value.decode())
    }
}

/// Text that may hold escapes.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'q> {
    /// It as it is sent.
    pub raw: &'q [u8],
    is_plain: bool,
}

impl<'q> Quoted<'q> {
    /// It as it is sent, if that is ASCII which decodes to itself.
    #[must_use]
    pub fn plain(self) -> Option<&'q [u8]> {
        self.is_plain.then_some(self.raw)
    }

    /// The text, in UTF-8.
    #[must_use]
    pub fn bytes(self) -> Cow<'q, [u8]> {
        if self.is_plain { Cow::Borrowed(self.raw) } else { Cow::Owned(self.decode().into_owned().into_bytes()) }
    }

    /// The text.
    #[must_use]
    pub fn decode(self) -> Cow<'q, str> {
        unquote_plus(self.raw)
    }
}

/// See [`parts`].
#[derive(Clone, Debug)]
pub struct Parts<'q> {
    rest: Option<&'q [u8]>,
}

impl<'q> Iterator for Parts<'q> {
    type Item = QuotedPair<'q>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let raw = self.rest?;
            // One pass: where the name and the part end, and whether there is anything to decode in either.
            let (mut equals, mut end) = (None, None);
            let (mut is_plain_name, mut is_plain) = (true, true);
            for (index, byte) in raw.iter().enumerate() {
                match byte {
                    b'&' => {
                        end = Some(index);
                        break;
                    }
                    b'=' if equals.is_none() => {
                        equals = Some(index);
                        (is_plain_name, is_plain) = (is_plain, true);
                    }
                    b'%' | b'+' | 0x80.. => is_plain = false,
                    _ => {}
                }
            }
            let part = end.map_or(Some(raw), |end| raw.get(..end))?;
            self.rest = end.and_then(|end| raw.get(end + 1..));
            if part.is_empty() {
                continue;
            }
            let (name, value) = match equals {
                None => (part, &[][..]),
                Some(equals) => (part.get(..equals)?, part.get(equals + 1..)?),
            };
            let is_plain_name = if equals.is_none() { is_plain } else { is_plain_name };
            let value = Quoted { raw: value, is_plain: is_plain || value.is_empty() };
            return Some(QuotedPair { name: Quoted { raw: name, is_plain: is_plain_name }, value });
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
