//! Percent-decoding of latin-1 bytes, with and without `+` for a space.
//! Below queries and forms; never fails: what is no escape stays, what is no UTF-8 becomes U+FFFD.
use std::borrow::Cow;

/// Decodes the escapes of latin-1 text.
///
/// Source: `urllib.parse.unquote(text)` with its defaults: a run of ASCII characters is decoded as one piece of UTF-8, with one
/// U+FFFD for each maximal invalid part; characters beyond ASCII stay as they are.
#[must_use]
pub fn unquote(raw: &[u8]) -> Cow<'_, str> {
    if raw.is_ascii() && memchr::memchr(b'%', raw).is_none() {
        return String::from_utf8_lossy(raw);
    }
    Cow::Owned(decode(raw, false))
}

/// Decodes the escapes of latin-1 text, and each `+` into a space.
///
/// Source: `urllib.parse.unquote_plus(text)`.
#[must_use]
pub fn unquote_plus(raw: &[u8]) -> Cow<'_, str> {
    if raw.is_ascii() && memchr::memchr2(b'%', b'+', raw).is_none() {
        return String::from_utf8_lossy(raw);
    }
    Cow::Owned(decode(raw, true))
}

fn decode(raw: &[u8], plus: bool) -> String {
    if raw.is_ascii() {
        return into_text(unescape(raw, plus));
    }
    let mut text = String::with_capacity(raw.len() * 2);
    for run in raw.chunk_by(|left, right| left.is_ascii() == right.is_ascii()) {
        if run.is_ascii() {
            text.push_str(&into_text(unescape(run, plus)));
        } else {
            text.extend(run.iter().copied().map(char::from));
        }
    }
    text
}

fn into_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn unescape(run: &[u8], plus: bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(run.len());
    let mut rest = run;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match (*first, after) {
            (b'%', [high, low, behind @ ..]) => match (hex_digit(*high), hex_digit(*low)) {
                (Some(high), Some(low)) => {
                    rest = behind;
                    high << 4 | low
                }
                _ => b'%',
            },
            (b'+', _) if plus => b' ',
            (byte, _) => byte,
        });
    }
    bytes
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::{unquote, unquote_plus};

    #[test]
    fn unquote_decodes_as_urllib_does() {
        let table: [(&[u8], &str); 16] = [
            (b"", ""),
            (b"plain+text", "plain+text"),
            (b"a%20b%2Fc%2fd", "a b/c/d"),
            (b"%", "%"),
            (b"%4", "%4"),
            (b"%zz%4", "%zz%4"),
            (b"%%41", "%A"),
            (b"%e2%82%ac", "\u{20ac}"),
            (b"%e2%82", "\u{fffd}"),
            (b"%e2%82x", "\u{fffd}x"),
            (b"%ff%fe", "\u{fffd}\u{fffd}"),
            (b"%ed%a0%80", "\u{fffd}\u{fffd}\u{fffd}"),
            (b"%f0%9f%98", "\u{fffd}"),
            (b"%c3\xa9", "\u{fffd}\u{a9}"),
            (b"%\xe94", "%\u{e9}4"),
            (b"\xe2\x82\xac", "\u{e2}\u{82}\u{ac}"),
        ];
        for (raw, expected) in table {
            assert_eq!(unquote(raw), expected, "{}", raw.escape_ascii());
        }
    }

    #[test]
    fn unquote_plus_also_reads_plus_as_space() {
        assert_eq!(unquote_plus(b"a+b%2Bc%"), "a b+c%");
        assert_eq!(unquote_plus(b"\xe9+%"), "\u{e9} %");
        assert_eq!(unquote_plus(b"%+41"), "% 41");
    }

    #[test]
    fn text_without_escapes_is_borrowed() {
        assert!(matches!(unquote(b"a+b"), Cow::Borrowed("a+b")));
        assert!(matches!(unquote_plus(b"ab"), Cow::Borrowed("ab")));
    }
}
