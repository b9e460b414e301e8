//! The request target: the path and the query that an application gets.
//!
//! Source: RFC 9112, section 3.2; httptools' `parse_url` for what is cut off.

use memchr::{memchr, memchr2, memrchr};

use crate::refusal::Refusal;

/// A path and a query, percent-encoded, ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// It begins with a slash or an asterisk.
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
            // What follows an asterisk makes no path of any application; it is not refused elsewhere either.
            Some(b'/' | b'*') => Ok(Self::split(text)),
            _ => Self::absolute(text),
        }
    }

    #[cold]
    fn absolute(text: &'a [u8]) -> Result<Self, Refusal> {
        let colon = memchr(b':', text).ok_or(Refusal::Invalid)?;
        let (scheme, rest) = text.split_at_checked(colon).ok_or(Refusal::Invalid)?;
        let rest = rest.strip_prefix(b"://").ok_or(Refusal::Invalid)?;
        let length = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(length);
        if scheme.is_empty() || !scheme.iter().all(u8::is_ascii_alphabetic) || !is_authority(authority) {
            return Err(Refusal::Invalid);
        }
        let target = Self::split(rest);
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

/// Whether this names a host, perhaps with a user before it and a port behind it.
///
/// Source: RFC 3986, section 3.2; an empty host is none in HTTP (RFC 9110, section 4.2.1).
fn is_authority(text: &[u8]) -> bool {
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte);
    let user_end = memrchr(b'@', text);
    let user = user_end.and_then(|end| text.get(..end)).unwrap_or_default();
    let place = user_end.map_or(text, |end| text.get(end + 1..).unwrap_or_default());
    let (host, port) = match place.strip_prefix(b"[") {
        Some(address) => {
            let Some((address, port)) = memchr(b']', address).and_then(|end| address.split_at_checked(end)) else {
                return false;
            };
            if !address.iter().all(|byte| is_name_byte(*byte) || *byte == b':') {
                return false;
            }
            (address, port.get(1..).unwrap_or_default())
        }
        None => place.split_at(memchr(b':', place).unwrap_or(place.len())),
    };
    let is_port = |digits: &[u8]| {
        let number = digits.iter().try_fold(0_u16, |number, byte| {
            let digit = char::from(*byte).to_digit(10).and_then(|digit| u16::try_from(digit).ok())?;
            number.checked_mul(10)?.checked_add(digit)
        });
        number.is_some()
    };
    user.iter().all(|byte| is_name_byte(*byte) || *byte == b':')
        && !host.is_empty()
        && (place.starts_with(b"[") || host.iter().copied().all(is_name_byte))
        && (port.is_empty() || port.strip_prefix(b":").is_some_and(is_port))
}

#[cfg(test)]
mod tests {
    use super::Target;
    use crate::refusal::Refusal;

    #[test]
    fn target_is_read_in_each_form() {
        let table: [(&[u8], &[u8], &[u8]); 18] = [
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
            (b"http://a_b.c%41:/a", b"/a", b""),
            (b"http://u:p%40;x@host:065535/a", b"/a", b""),
            (b"http://@host/@?@", b"/@", b"@"),
            (b"http://[::1]/a", b"/a", b""),
            (b"http://[::1%25e]:80/a", b"/a", b""),
            (b"*", b"*", b""),
            (b"*?a=1", b"*", b"a=1"),
            (b"*/a", b"*/a", b""),
        ];
        for (text, path, query) in table {
            assert_eq!(Target::parse(text), Ok(Target { path, query }), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn target_in_another_form_is_refused() {
        for text in [
            &b"host:80"[..],
            b"a/b",
            b"http:///a",
            b"://a/",
            b"h1://a/",
            b"/\xc3\xa9",
            b"?a",
            b"",
            b"http://host:a/",
            b"http://host:65536/",
            b"http://host:1:2/",
            b"http://u@/",
            b"http://u@:80/",
            b"http://a@b@c/",
            b"http://u<@host/",
            b"http://ho<st/",
            b"http://[::1/",
            b"http://[]/",
            b"http://[::1]80/",
            b"http://[a@b]/",
        ] {
            assert_eq!(Target::parse(text), Err(Refusal::Invalid), "{}", text.escape_ascii());
        }
    }
}
