//! Numbers as JSON, as Python prints them.
//! Not-a-number and the infinities have no JSON: refusing them is the caller's business.

/// The first number with more digits than are made together.
const FIVE_DIGITS: u32 = 10_000;

/// What makes characters of four digits.
const ZEROS: u32 = 0x3030_3030;
/// The same for four digits, a point, and two digits.
const POINTED_ZEROS: u64 = 0x0030_302e_3030_3030;

/// Appends a signed number.
#[inline]
pub fn write_i64(number: i64, out: &mut Vec<u8>) {
    match u64::try_from(number) {
        Ok(number) => write_u64(number, out),
        Err(_) => write_any(number, out),
    }
}

/// Appends an unsigned number.
#[inline]
pub fn write_u64(number: u64, out: &mut Vec<u8>) {
    if let Some(number) = u32::try_from(number).ok().filter(|number| *number < FIVE_DIGITS) {
        let digits = four_digits(number);
        let leading = leading_zeros(digits.into());
        let end = out.len() + 4 - leading / 8;
        out.extend_from_slice(&((digits | ZEROS) >> leading).to_le_bytes());
        out.truncate(end);
    } else {
        write_any(number, out);
    }
}

#[inline(never)]
fn write_any(number: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// The digits of a number below 10,000 as four bytes, the first one lowest.
#[inline]
fn four_digits(number: u32) -> u32 {
    // Two pairs of digits are parted at once: a tenth of what is below 100 is 103 in 1024.
    let pairs = (number / 100) | ((number % 100) << 16);
    let tens = ((pairs * 103) >> 10) & 0x000f_000f;
    tens | ((pairs - tens * 10) << 8)
}

/// How many bits of four digits are zeros before the first other digit, or before the last one.
#[inline]
fn leading_zeros(digits: u64) -> usize {
    ((digits | (1 << 24)).trailing_zeros() & !7) as usize
}

/// Appends a finite number: the shortest digits that read back as the same number.
///
/// Source: `float.__repr__`. What is written for a number that is not finite is not JSON.
pub fn write_f64(number: f64, out: &mut Vec<u8>) {
    if !write_hundredths(number, out) {
        write_other(number, out);
    }
}

#[inline(never)]
fn write_other(number: f64, out: &mut Vec<u8>) {
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format(number);
    // Python and the crate choose the same digits and, but for two things, the same form.
    if (1e-4..1e15).contains(&number.abs()) {
        out.extend_from_slice(text.as_bytes());
    } else if let Some((mantissa, exponent)) = text.split_once('e') {
        write_two_digit_exponent(mantissa, exponent, out);
    } else if let Some(digits) = text.trim_start_matches('-').strip_prefix("0.0000") {
        write_below_fixed(number.is_sign_negative(), digits, out);
    } else {
        out.extend_from_slice(text.as_bytes());
    }
}

/// Appends a finite number with the same digits as [`write_f64`], in the form in which Rust's JSON libraries print them.
///
/// Source: pydantic's `to_json`. What is written for a number that is not finite is not JSON.
pub fn write_f64_shortest(number: f64, out: &mut Vec<u8>) {
    if !write_hundredths(number, out) {
        write_other_shortest(number, out);
    }
}

#[inline(never)]
fn write_other_shortest(number: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(zmij::Buffer::new().format(number).as_bytes());
}

/// Appends a number of at most two decimals, such as a price, at half the cost; `false` if it is another.
///
/// Decimals of up to fifteen digits are all different numbers. So one that reads as this number is what the shortest
/// digits make, too.
#[inline]
fn write_hundredths(number: f64, out: &mut Vec<u8>) -> bool {
    const LIMIT: u64 = 1_000_000_000_000_000;
    const HUNDREDTHS: u64 = 100 * FIVE_DIGITS as u64;
    /// Added to a number below the limit, it leaves no place for a fraction, and the whole number in the lowest bits.
    const WHOLE: f64 = 6_755_399_441_055_744.0;
    let shifted = number.abs() * 100.0 + WHOLE;
    let size = shifted.to_bits().wrapping_sub(WHOLE.to_bits());
    let read = (shifted - WHOLE) / 100.0;
    // Zero has a sign that no integer has; what is not a number is not equal to one.
    #[expect(clippy::float_cmp, reason = "the very same number is meant")]
    if size == 0 || size >= LIMIT || read != number.abs() {
        return false;
    }
    if number < 0.0 || size >= HUNDREDTHS {
        return write_parts(number, size, out);
    }
    let size = (size % HUNDREDTHS) as u32;
    let (whole, rest) = (size / 100, size % 100);
    // As above, with three pairs.
    let pairs = u64::from(whole / 100) | (u64::from(whole % 100) << 16) | (u64::from(rest) << 32);
    let tens = ((pairs * 103) >> 10) & 0x000f_000f_000f;
    let digits = tens | ((pairs - tens * 10) << 8);
    let leading = leading_zeros(digits);
    let text = (digits & 0xffff_ffff) | ((digits >> 32) << 40) | POINTED_ZEROS;
    let last_zero = usize::from(digits >> 40 == 0);
    let end = out.len() + 7 - leading / 8 - last_zero;
    out.extend_from_slice(&(text >> leading).to_le_bytes());
    out.truncate(end);
    true
}

/// The same for more digits, and for a sign.
#[inline(never)]
fn write_parts(number: f64, size: u64, out: &mut Vec<u8>) -> bool {
    if number < 0.0 {
        out.push(b'-');
    }
    write_any(size / 100, out);
    let digit = |number: u64| b'0' + (number % 10) as u8;
    let (tenths, last) = (digit(size / 10), digit(size));
    out.extend_from_slice(&[b'.', tenths, last]);
    if last == b'0' {
        out.pop();
    }
    true
}

/// Python's exponent has at least two digits: `1e-07`.
#[cold]
fn write_two_digit_exponent(mantissa: &str, exponent: &str, out: &mut Vec<u8>) {
    let (sign, digits) = exponent.split_at_checked(1).unwrap_or_default();
    let padding = if digits.len() < 2 { "0" } else { "" };
    for part in [mantissa, "e", sign, padding, digits] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Python writes four zeros after the point with an exponent: `1.2e-05` for 0.000012.
#[cold]
fn write_below_fixed(is_negative: bool, digits: &str, out: &mut Vec<u8>) {
    let (first, rest) = digits.split_at_checked(1).unwrap_or_default();
    let sign = if is_negative { "-" } else { "" };
    let point = if rest.is_empty() { "" } else { "." };
    for part in [sign, first, point, rest, "e-05"] {
        out.extend_from_slice(part.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::{write_f64, write_f64_shortest, write_hundredths, write_i64, write_u64};

    fn written<N>(write: fn(N, &mut Vec<u8>), number: N) -> String {
        let mut out = Vec::new();
        write(number, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn write_f64_prints_as_float_repr() {
        let table = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (0.0001, "0.0001"),
            (-0.0001, "-0.0001"),
            (0.000_099_999_999_999_999_99, "9.999999999999999e-05"),
            (0.00001, "1e-05"),
            (-0.000_012_5, "-1.25e-05"),
            (1e-7, "1e-07"),
            (1.25e-10, "1.25e-10"),
            (1e15, "1000000000000000.0"),
            (9_999_999_999_999_998.0, "9999999999999998.0"),
            (1e16, "1e+16"),
            (-1.5e16, "-1.5e+16"),
            (1e22, "1e+22"),
            (1e100, "1e+100"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
            (5e-324, "5e-324"),
            (2.0f64.powi(-44), "5.684341886080802e-14"),
            (9_007_199_254_740_993.0, "9007199254740992.0"),
        ];
        for (number, expected) in table {
            assert_eq!(written(write_f64, number), expected);
        }
    }

    #[test]
    fn write_hundredths_prints_what_the_shortest_digits_are() {
        let shortest = |number| zmij::Buffer::new().format(number).to_owned();
        let mut taken = 0;
        let mut check = |number: f64| {
            for near in [number, number.next_up(), number.next_down(), -number] {
                let mut out = Vec::new();
                if write_hundredths(near, &mut out) {
                    taken += 1;
                    assert_eq!(String::from_utf8(out).unwrap(), shortest(near));
                } else {
                    assert!(out.is_empty());
                }
            }
        };
        for hundredths in 0..20_000_u32 {
            check(f64::from(hundredths) / 100.0);
        }
        let mut size = 1.0;
        while size < 1e20 {
            for factor in [0.1, 0.29, 1.0, 1.005, 1.25, 1.5, 3.33, 7.77, 9.99] {
                check(size * factor);
            }
            size *= 1.7;
        }
        for number in [0.0, 9_999_999_999_999.98, 1e13, 1e15, 9_007_199_254_740_993.0, f64::MAX, f64::MIN_POSITIVE] {
            check(number);
        }
        assert!(taken > 40_000);
        for other in [0.0, -0.0, 0.001, 1e13, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(!write_hundredths(other, &mut Vec::new()));
        }
    }

    #[test]
    fn small_numbers_print_all_their_digits() {
        for number in 0..20_000_i32 {
            assert_eq!(written(write_u64, number.unsigned_abs().into()), number.to_string());
            assert_eq!(written(write_i64, (-number).into()), (-number).to_string());
        }
        for hundredths in 1..2_000_000_u32 {
            let (whole, rest) = (hundredths / 100, hundredths % 100);
            let digits = format!("{whole}.{rest:02}");
            let expected = if rest % 10 == 0 { &digits[..digits.len() - 1] } else { &digits };
            assert_eq!(written(write_f64, f64::from(hundredths) / 100.0), expected);
        }
    }

    #[test]
    fn write_f64_shortest_prints_as_pydantic() {
        let table = [
            (-0.0, "-0.0"),
            (0.00001, "0.00001"),
            (1e-7, "1e-7"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
        ];
        for (number, expected) in table {
            assert_eq!(written(write_f64_shortest, number), expected);
        }
    }

    #[test]
    fn whole_numbers_reach_the_ends_of_their_types() {
        assert_eq!(written(write_i64, i64::MIN), "-9223372036854775808");
        assert_eq!(written(write_i64, 0), "0");
        assert_eq!(written(write_u64, u64::MAX), "18446744073709551615");
    }
}
