//! Texts of one certain form that stand for an integer, a number or a truth value.
//! Above nothing; which other texts stand for one is pydantic's business, and so is every refusal.

/// The most digits of an integer that is read here: any such number has its place in 64 bits.
pub const INTEGER_DIGITS: usize = 18;

/// The most bytes of a number that is read here.
const NUMBER_LENGTH: usize = 32;

/// The integer of a text such as `0`, `42` or `-7`: no sign but a minus, no zero in front, at most 18 digits.
///
/// Source: pydantic's lax mode, which takes these as `int(text)` does, and more.
#[must_use]
pub fn integer(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !is_negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= INTEGER_DIGITS => {}
        _ => return None,
    }
    let mut magnitude = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        magnitude = magnitude * 10 + i64::from(digit - b'0');
    }
    Some(if is_negative { -magnitude } else { magnitude })
}

/// The number of a text such as `3`, `-0.5` or `12.50`: digits, and digits on both sides of a point.
///
/// Source: pydantic's lax mode, which takes these as `float(text)` does, and more.
#[must_use]
pub fn number(text: &[u8]) -> Option<f64> {
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    let (before, after) = match unsigned.iter().position(|byte| *byte == b'.') {
        Some(point) => (unsigned.get(..point)?, unsigned.get(point + 1..)?),
        None => (unsigned, unsigned),
    };
    let is_decimal = |digits: &[u8]| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    if text.len() > NUMBER_LENGTH || !is_decimal(before) || !is_decimal(after) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The truth value of a text in lower case, or of a digit.
///
/// Source: pydantic's lax mode, which takes them in any case.
#[must_use]
pub fn truth(text: &[u8]) -> Option<bool> {
    match text {
        b"true" | b"1" | b"on" | b"yes" => Some(true),
        b"false" | b"0" | b"off" | b"no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{integer, number, truth};

    #[test]
    fn integer_reads_what_has_one_way_of_writing_only() {
        for (text, expected) in [
            ("0", Some(0)),
            ("42", Some(42)),
            ("-7", Some(-7)),
            ("999999999999999999", Some(999_999_999_999_999_999)),
            ("-999999999999999999", Some(-999_999_999_999_999_999)),
            ("1000000000000000000", None),
            ("-0", None),
            ("00", None),
            ("01", None),
            ("+1", None),
            ("--1", None),
            ("1_0", None),
            ("1.0", None),
            ("1 ", None),
            ("-", None),
            ("", None),
            ("1\u{663}", None),
        ] {
            assert_eq!(integer(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn number_reads_decimals() {
        for (text, expected) in [
            ("0", Some(0.0)),
            ("-0", Some(-0.0)),
            ("12.50", Some(12.5)),
            ("-0.5", Some(-0.5)),
            ("007", Some(7.0)),
            ("0.1", Some(0.1)),
            ("123456789012345678901234567890.1", Some(1.234_567_890_123_456_8e29)),
            ("123456789012345678901234567890.12", None),
            ("1.", None),
            (".5", None),
            (".", None),
            ("-", None),
            ("", None),
            ("1e5", None),
            ("1.2.3", None),
            ("+1", None),
            ("nan", None),
            ("inf", None),
            ("1_0", None),
            (" 1", None),
        ] {
            let found = number(text.as_bytes());
            assert_eq!(found.map(f64::to_bits), expected.map(f64::to_bits), "{text}: {found:?}");
        }
    }

    #[test]
    fn truth_reads_words_of_one_case() {
        for (text, expected) in [
            ("true", Some(true)),
            ("1", Some(true)),
            ("off", Some(false)),
            ("0", Some(false)),
            ("True", None),
            ("t", None),
            ("", None),
            ("2", None),
        ] {
            assert_eq!(truth(text.as_bytes()), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn integer_is_the_one_that_is_written(value in -999_999_999_999_999_999_i64..=999_999_999_999_999_999) {
            prop_assert_eq!(integer(value.to_string().as_bytes()), Some(value));
        }

        #[test]
        fn integer_of_any_text_is_written_as_that_text(text in "[-+0-9_ .]{0,22}") {
            if let Some(value) = integer(text.as_bytes()) {
                prop_assert_eq!(value.to_string(), text);
            }
        }
    }
}
