//! The Authorization header: a scheme, and the user and password of the scheme Basic.
//! Source: RFC 9110, 11.4 Credentials; RFC 7617; FastAPI behaviour, `security.http` and `security.utils`.

use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine, alphabet};

use crate::latin1;

/// The scheme as it was written, and what follows its first space without white space around it.
#[must_use]
pub fn split(header: &str) -> (&str, &str) {
    let (scheme, rest) = header.split_once(' ').unwrap_or((header, ""));
    (scheme, rest.trim_matches(latin1::is_space))
}

/// The text `user:password`, decoded; none where `encoded` is not base64 in its canonical form, or not of ASCII text.
///
/// Python reads more than that, and says what is wrong with the rest.
#[must_use]
pub fn basic(encoded: &str) -> Option<String> {
    let decoded = BASE64.decode(encoded).ok()?;
    String::from_utf8(decoded).ok().filter(|text| text.is_ascii())
}

/// Padded to whole groups, as `b64decode` wants it, which does not look at the bits that no byte is made of.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

#[cfg(test)]
mod tests {
    use super::{basic, split};

    #[test]
    fn split_ends_the_scheme_at_the_first_space() {
        assert_eq!(split("Bearer  two words "), ("Bearer", "two words"));
        assert_eq!(split("Bearer"), ("Bearer", ""));
        assert_eq!(split(" x"), ("", "x"));
        assert_eq!(split(""), ("", ""));
    }

    #[test]
    fn split_takes_pythons_white_space() {
        assert_eq!(split("a \u{85}\u{a0}\x1c b\x0b\x1f "), ("a", "b"));
    }

    #[test]
    fn basic_reads_canonical_base64_of_ascii() {
        for (encoded, text) in [("YTpi", "a:b"), ("YTpiYw==", "a:bc"), ("YTpiY2Q=", "a:bcd"), ("Og==", ":")] {
            assert_eq!(basic(encoded).as_deref(), Some(text));
        }
        // The bits that no byte is made of are not looked at.
        assert_eq!(basic("Oh==").as_deref(), Some(":"));
    }

    #[test]
    fn basic_leaves_everything_else_to_python() {
        assert_eq!(basic("").as_deref(), Some(""));
        for encoded in ["Y", "YT", "YTp", "YTpi=", "YTpi====", "Y===", "Y=p=", "YTpi YTp", "YT=i", "6Tph", "YT-_"] {
            assert_eq!(basic(encoded), None, "{encoded}");
        }
    }
}
