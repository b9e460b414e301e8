//! Latin-1 text: how ASGI hands over header and query bytes, and how Python trims them.
//! Below every parser of header text; knows no syntax.
use std::borrow::Cow;

/// The bytes read as latin-1; borrowed when they are ASCII.
#[must_use]
pub fn decode(bytes: &[u8]) -> Cow<'_, str> {
    if bytes.is_ascii() {
        String::from_utf8_lossy(bytes)
    } else {
        Cow::Owned(bytes.iter().copied().map(char::from).collect())
    }
}

/// The bytes without the latin-1 characters at both ends that `str.strip()` takes for white space.
pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    let Some(start) = bytes.iter().position(|byte| !is_space(char::from(*byte))) else {
        return &[];
    };
    let end = bytes.iter().rposition(|byte| !is_space(char::from(*byte))).map_or(0, |last| last + 1);
    bytes.get(start..end).unwrap_or_default()
}

/// Source: CPython, `Py_UNICODE_ISSPACE` below U+0100.
pub(crate) fn is_space(character: char) -> bool {
    matches!(character, '\t'..='\r' | '\x1c'..='\x1f' | ' ' | '\u{85}' | '\u{a0}')
}

#[cfg(test)]
mod tests {
    use super::{decode, trim};

    #[test]
    fn decode_maps_each_byte_to_the_character_of_its_number() {
        assert_eq!(decode(b"abc"), "abc");
        assert_eq!(decode(b"caf\xe9\x80"), "caf\u{e9}\u{80}");
    }

    #[test]
    fn trim_takes_pythons_white_space() {
        assert_eq!(trim(b"\x85\xa0 \t\x1c a b\x0b\x1f "), b"a b");
        assert_eq!(trim(b" \n"), b"");
        assert_eq!(trim(b""), b"");
        assert_eq!(trim(b"\x00a\x7f"), b"\x00a\x7f");
    }
}
