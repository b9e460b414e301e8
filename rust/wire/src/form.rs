//! The pairs of a url-encoded body, within limits.
//! Above queries; multipart bodies and the reading of the stream are not its business.
use crate::query::{Parts, QuotedPair, parts};

/// How much a form may hold; `usize::MAX` for no limit.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The number of fields.
    pub fields: usize,
    /// The bytes of one field's name and value together, before they are decoded.
    pub field_size: usize,
}

/// The limit that a body exceeds; Starlette answers with an exception, whose text is the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitError {
    /// There are more fields than [`Limits::fields`].
    TooManyFields,
    /// A field is larger than [`Limits::field_size`].
    FieldTooLarge,
}

/// The pairs of a whole body, up to the first that exceeds a limit.
///
/// Source: Starlette, `formparsers.FormParser` on python-multipart's `QuerystringParser`, which is not strict and divides fields
/// by `&` only.
#[must_use]
pub fn pairs(body: &[u8], limits: Limits) -> Pairs<'_> {
    Pairs { parts: parts(body), fields: 0, limits }
}

/// See [`pairs`].
#[derive(Clone, Debug)]
pub struct Pairs<'b> {
    parts: Parts<'b>,
    fields: usize,
    limits: Limits,
}

impl<'b> Iterator for Pairs<'b> {
    type Item = Result<QuotedPair<'b>, LimitError>;

    fn next(&mut self) -> Option<Self::Item> {
        let part = self.parts.next()?;
        self.fields += 1;
        if part.name.raw.len() + part.value.raw.len() > self.limits.field_size {
            return Some(Err(LimitError::FieldTooLarge));
        }
        if self.fields > self.limits.fields {
            return Some(Err(LimitError::TooManyFields));
        }
        Some(Ok(part))
    }
}

#[cfg(test)]
mod tests {
    use super::{LimitError, Limits, QuotedPair, pairs};
    use crate::query::tests::{Case, assert_pairs};

    const LIMITS: Limits = Limits { fields: 3, field_size: 8 };

    fn first_error(body: &[u8]) -> Option<LimitError> {
        pairs(body, LIMITS).find_map(Result::err)
    }

    #[test]
    fn pairs_are_decoded_fields() {
        let table: [Case; 6] = [
            (b"", &[]),
            (b"&&a=1&&b&", &[("a", "1"), ("b", "")]),
            (b"=1&a=&=", &[("", "1"), ("a", ""), ("", "")]),
            (b"a=1;b=2", &[("a", "1;b=2")]),
            (b"a+b=%41", &[("a b", "A")]),
            (b"a=\xe9", &[("a", "é")]),
        ];
        for case in table {
            assert_pairs(pairs(case.0, LIMITS).map(Result::unwrap).map(QuotedPair::decode), case);
        }
    }

    #[test]
    fn pairs_report_the_first_limit_exceeded() {
        let table: [(&[u8], Option<LimitError>); 6] = [
            (b"a&b&c", None),
            (b"a&b&c&d", Some(LimitError::TooManyFields)),
            (b"1234=5678", None),
            (b"1234=56789", Some(LimitError::FieldTooLarge)),
            (b"a&b&c&123456789", Some(LimitError::FieldTooLarge)),
            (b"a&b&c&d&123456789", Some(LimitError::TooManyFields)),
        ];
        for (body, expected) in table {
            assert_eq!(first_error(body), expected, "{}", body.escape_ascii());
        }
    }
}
