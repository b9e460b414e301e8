//! The request target: the path and the query that an application gets.
//!
//! Source: RFC 9112, section 3.2; httptools' `parse_url` for what is cut off.

use memchr::{memchr, memchr2};

use crate::refusal::Refusal;

/// A path and a query, percent-encoded, ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// It begins with a slash, or is `*`.
    pub path: &'a [u8],
    /// What follows the first question mark; empty if there is none.
    pub query: &'a [u8],
}

impl<'a> Target<'a> {
    /// Read a target in origin form, in absolute form, or the asterisk.
    ///
    /// # Errors
    /// [`Refusal::Invalid`]: another form, or bytes beyond ASCII.
    pub fn parse(text: &'a [u8]) -> Result<Self, Refusal> {
        if !text.is_ascii() {
            return Err(Refusal::Invalid);
        }
        match text.first() {
            Some(b'/') => Ok(Self::split(text)),
            Some(b'*') if text.len() == 1 => Ok(Self { path: text, query: b"" }),
            _ => Self::absolute(text),
        }
    }

    #[cold]
    fn absolute(text: &'a [u8]) -> Result<Self, Refusal> {
        let colon = memchr(b':', text).ok_or(Refusal::Invalid)?;
        let (scheme, rest) = text.split_at_checked(colon).ok_or(Refusal::Invalid)?;
        let rest = rest.strip_prefix(b"://").ok_or(Refusal::Invalid)?;
        let length = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
        if scheme.is_empty() || !scheme.iter().all(u8::is_ascii_alphabetic) || length == 0 {
            return Err(Refusal::Invalid);
        }
        let target = Self::split(rest.get(length..).unwrap_or_default());
        // RFC 9110, section 4.2.3: an empty path is the same as "/".
        Ok(if target.path.is_empty() { Self { path: b"/", ..target } } else { target })
    }

    fn split(text: &'a [u8]) -> Self {
        let Some(end) = memchr2(b'?', b'#', text) else { return Self { path: text, query: b"" } };
        let (path, rest) = text.split_at(end);
        let query = rest.strip_prefix(b"?").unwrap_or_default();
        // A fragment is the client's own.
        let query = memchr(b'#', query).map_or(query, |end| query.get(..end).unwrap_or_default());
        Self { path, query }
    }
}

#[cfg(test)]
mod tests {
    use super::Target;
    use crate::refusal::Refusal;

    #[test]
    fn target_is_read_in_each_form() {
        let table: [(&[u8], &[u8], &[u8]); 11] = [
            (b"/", b"/", b""),
            (b"/a/b?c=d", b"/a/b", b"c=d"),
            (b"//a//", b"//a//", b""),
            (b"/a?", b"/a", b""),
            (b"/a??b?c", b"/a", b"?b?c"),
            (b"/a#b?c", b"/a", b""),
            (b"/a?b#c", b"/a", b"b"),
            (b"http://host:80/a?b", b"/a", b"b"),
            (b"https://host", b"/", b""),
            (b"http://host?b", b"/", b"b"),
            (b"*", b"*", b""),
        ];
        for (text, path, query) in table {
            assert_eq!(Target::parse(text), Ok(Target { path, query }), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn target_in_another_form_is_refused() {
        for text in [&b"host:80"[..], b"a/b", b"http:///a", b"://a/", b"h1://a/", b"**", b"/\xc3\xa9", b"?a", b""] {
            assert_eq!(Target::parse(text), Err(Refusal::Invalid), "{}", text.escape_ascii());
        }
    }
}
