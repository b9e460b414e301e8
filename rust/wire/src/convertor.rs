//! The five kinds of path parameter: which text each accepts.
//! Below templates in the flow; turning the text into a value is the caller's business.

/// What kind of text a path parameter accepts.
///
/// Source: Starlette, `convertors.py`, the `regex` of each class. Digits are ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Convertor {
    /// One or more characters without a slash.
    Str,
    /// Any text without a newline, the empty text and slashes included.
    Path,
    /// Digits, at most [`MOST_DIGITS`].
    Int,
    /// Digits, and optionally a point and more digits.
    Float,
    /// 32 hexadecimal digits, each of the four usual hyphens optional.
    Uuid,
}

/// The most digits that Python makes an integer of. Source: CPython, the default of `sys.set_int_max_str_digits`.
pub(crate) const MOST_DIGITS: usize = 4300;

/// The number of hexadecimal digits between the optional hyphens of a UUID.
const UUID_GROUPS: [usize; 5] = [8, 4, 4, 4, 12];

impl Convertor {
    /// The convertor of that name in a template, or `None` for a name the application has to have registered.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "str" => Some(Self::Str),
            "path" => Some(Self::Path),
            "int" => Some(Self::Int),
            "float" => Some(Self::Float),
            "uuid" => Some(Self::Uuid),
            _ => None,
        }
    }

    /// The name by which a template asks for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Str => "str",
            Self::Path => "path",
            Self::Int => "int",
            Self::Float => "float",
            Self::Uuid => "uuid",
        }
    }

    /// Whether the whole text is one this convertor accepts.
    #[must_use]
    pub fn accepts(self, text: &str) -> bool {
        let bytes = text.as_bytes();
        match self {
            Self::Str => !bytes.is_empty() && memchr::memchr(b'/', bytes).is_none(),
            Self::Path => memchr::memchr(b'\n', bytes).is_none(),
            Self::Int => bytes.len() <= MOST_DIGITS && is_digits(bytes),
            Self::Float => match memchr::memchr(b'.', bytes).and_then(|point| bytes.split_at_checked(point)) {
                Some((whole, fraction)) => is_digits(whole) && fraction.get(1..).is_some_and(is_digits),
                None => is_digits(bytes),
            },
            Self::Uuid => uuid_length(bytes) == Some(bytes.len()),
        }
    }
}

fn is_digits(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit)
}

/// How many bytes the UUID takes that the text begins with, if it begins with one.
pub(crate) fn uuid_length(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    for (position, digits) in UUID_GROUPS.into_iter().enumerate() {
        if position > 0 {
            rest = rest.strip_prefix(b"-").unwrap_or(rest);
        }
        let (group, after) = rest.split_at_checked(digits)?;
        if !group.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        rest = after;
    }
    Some(bytes.len() - rest.len())
}

#[cfg(test)]
mod tests {
    use super::Convertor::{self, Float, Int, Path, Str, Uuid};

    #[test]
    fn from_name_knows_its_own_names_only() {
        for convertor in [Str, Path, Int, Float, Uuid] {
            assert_eq!(Convertor::from_name(convertor.name()), Some(convertor));
        }
        assert_eq!(Convertor::from_name("datetime"), None);
        assert_eq!(Convertor::from_name("Int"), None);
    }

    #[test]
    fn accepts_what_the_regular_expressions_accept() {
        let table = [
            (Str, "a", true),
            (Str, "", false),
            (Str, "a/b", false),
            (Str, "a\n", true),
            (Path, "", true),
            (Path, "/a//b/", true),
            (Path, "a\n", false),
            (Path, "a\nb", false),
            (Int, "0", true),
            (Int, "007", true),
            (Int, "", false),
            (Int, "-1", false),
            (Int, "1\n", false),
            (Int, "\u{661}", false),
            (Float, "1", true),
            (Float, "1.50", true),
            (Float, "1.", false),
            (Float, ".5", false),
            (Float, "1.2.3", false),
            (Float, "1e5", false),
            (Uuid, "0123456789abcdefABCDEF0123456789", true),
            (Uuid, "01234567-89ab-cdef-ABCD-EF0123456789", true),
            (Uuid, "0123456789ab-cdefABCD-EF0123456789", true),
            (Uuid, "01234567--89ab-cdef-ABCD-EF0123456789", false),
            (Uuid, "01234567-89ab-cdef-ABCD-EF012345678", false),
            (Uuid, "01234567-89ab-cdef-ABCD-EF01234567890", false),
            (Uuid, "01234567-89ab-cdef-ABCD-EF01234567g9", false),
        ];
        for (convertor, text, expected) in table {
            assert_eq!(convertor.accepts(text), expected, "{convertor:?} {text:?}");
        }
        assert!(Int.accepts(&"9".repeat(4300)));
        assert!(!Int.accepts(&"9".repeat(4301)));
    }
}
