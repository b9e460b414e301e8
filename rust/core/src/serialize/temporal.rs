//! Values with a text form of their own: dates, times, durations, UUIDs, decimals, byte strings.
//! Exact types only, and only while their entry of `ENCODERS_BY_TYPE` is the stock one; `fallback` decides that.
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{
    PyBytes, PyDate, PyDateAccess, PyDateTime, PyDelta, PyDeltaAccess, PyTime, PyTimeAccess, PyTzInfoAccess,
};

use super::sink::Sink;
use super::types::Native;

const MICROSECONDS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;
/// The largest count that a float holds exactly.
const LARGEST_EXACT: u64 = 1 << 53;
/// The digits of an integer that Python always prints. Source: CPython, the least limit of `sys.set_int_max_str_digits`.
const MOST_DIGITS: usize = 640;

impl Sink {
    /// Writes a value of a natively known type; `false`, and nothing written, if Python has to.
    ///
    /// # Errors
    /// What a `tzinfo` raises when it is asked for its offset.
    pub(super) fn native(&mut self, native: Native, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        match native {
            Native::DateTime => self.datetime(value.cast::<PyDateTime>()?),
            Native::Date => {
                let date = value.cast::<PyDate>()?;
                self.out.push(b'"');
                write_date(date, &mut self.out);
                self.out.push(b'"');
                Ok(true)
            }
            Native::Time => self.time(value.cast::<PyTime>()?),
            Native::TimeDelta => Ok(self.duration(value.cast::<PyDelta>()?)),
            Native::Uuid => self.uuid(value),
            Native::Decimal => self.decimal(value),
            Native::Bytes => match std::str::from_utf8(value.cast::<PyBytes>()?.as_bytes()) {
                Ok(text) => {
                    self.string(text);
                    Ok(true)
                }
                Err(_) => Ok(false),
            },
        }
    }

    fn datetime(&mut self, moment: &Bound<'_, PyDateTime>) -> PyResult<bool> {
        let offset = offset_of(moment, moment.get_tzinfo().is_some())?;
        self.out.push(b'"');
        write_date(moment, &mut self.out);
        self.out.push(b'T');
        write_time(moment, &mut self.out);
        self.offset(offset);
        self.out.push(b'"');
        Ok(true)
    }

    fn time(&mut self, time: &Bound<'_, PyTime>) -> PyResult<bool> {
        let offset = offset_of(time, time.get_tzinfo().is_some())?;
        self.out.push(b'"');
        write_time(time, &mut self.out);
        self.offset(offset);
        self.out.push(b'"');
        Ok(true)
    }

    /// Writes an offset from UTC, in microseconds.
    fn offset(&mut self, offset: Option<i64>) {
        let Some(offset) = offset else { return };
        self.out.push(if offset < 0 { b'-' } else { b'+' });
        // A Python offset is less than a day, so both parts fit.
        let offset = offset.unsigned_abs();
        let seconds = u32::try_from(offset / 1_000_000).unwrap_or_default();
        let microseconds = u32::try_from(offset % 1_000_000).unwrap_or_default();
        let (hours, minutes) = (two_digits(seconds / 3600), two_digits(seconds / 60 % 60));
        self.out.extend_from_slice(&[hours[0], hours[1], b':', minutes[0], minutes[1]]);
        if seconds % 60 != 0 || microseconds != 0 {
            self.out.push(b':');
            self.out.extend_from_slice(&two_digits(seconds % 60));
            write_fraction(microseconds, &mut self.out);
        }
    }

    fn duration(&mut self, duration: &Bound<'_, PyDelta>) -> bool {
        let microseconds = microseconds_of(duration);
        let exact = microseconds.is_some_and(|count| count.unsigned_abs() <= LARGEST_EXACT);
        if let (Some(microseconds), true) = (microseconds, exact) {
            #[expect(clippy::cast_precision_loss, reason = "checked: the count is exact as a float")]
            self.finite(microseconds as f64 / MICROSECONDS_PER_SECOND as f64);
        }
        exact
    }

    fn uuid(&mut self, uuid: &Bound<'_, PyAny>) -> PyResult<bool> {
        let Ok(number) = uuid.getattr(intern!(uuid.py(), "int"))?.extract::<u128>() else { return Ok(false) };
        write_uuid(number, &mut self.out);
        Ok(true)
    }

    /// Writes a decimal: an integer if nothing follows the point, else a float.
    ///
    /// An integer of more digits than Python prints is refused with Python's own error, before it is made: that would
    /// take time quadratic in digits that were sent as an exponent.
    ///
    /// Source: FastAPI behaviour, `encoders.decimal_encoder`.
    fn decimal(&mut self, decimal: &Bound<'_, PyAny>) -> PyResult<bool> {
        let text = decimal.str()?;
        let Some(number) = Decimal::read(text.to_str()?) else { return Ok(false) };
        match number {
            Decimal::Float(number) if number.is_finite() => self.finite(number),
            Decimal::Float(_) => return Ok(false),
            Decimal::Zero => self.out.push(b'0'),
            Decimal::Integer { sign, digits: (whole, fraction), zeros } => {
                let count = whole.len() + fraction.len() + zeros;
                if count > MOST_DIGITS && !is_printed(decimal.py(), count)? {
                    return Ok(false);
                }
                for digits in [sign, whole, fraction] {
                    self.out.extend_from_slice(digits.as_bytes());
                }
                self.out.resize(self.out.len() + zeros, b'0');
            }
        }
        Ok(true)
    }
}

/// Writes a date, without quotes.
pub(crate) fn write_date(date: &impl PyDateAccess, out: &mut Vec<u8>) {
    let year = u32::try_from(date.get_year()).unwrap_or_default();
    let (month, day) = (two_digits(date.get_month().into()), two_digits(date.get_day().into()));
    let (century, year) = (two_digits(year / 100), two_digits(year));
    out.extend_from_slice(&[century[0], century[1], year[0], year[1], b'-', month[0], month[1], b'-', day[0], day[1]]);
}

/// Writes a time of day, without quotes or an offset.
pub(crate) fn write_time(time: &impl PyTimeAccess, out: &mut Vec<u8>) {
    let (hour, minute) = (two_digits(time.get_hour().into()), two_digits(time.get_minute().into()));
    let second = two_digits(time.get_second().into());
    out.extend_from_slice(&[hour[0], hour[1], b':', minute[0], minute[1], b':', second[0], second[1]]);
    write_fraction(time.get_microsecond(), out);
}

fn write_fraction(microseconds: u32, out: &mut Vec<u8>) {
    if microseconds != 0 {
        out.push(b'.');
        for part in [microseconds / 10_000, microseconds / 100, microseconds] {
            out.extend_from_slice(&two_digits(part));
        }
    }
}

/// The last two digits of a number.
pub(crate) fn two_digits(number: u32) -> [u8; 2] {
    let digit = |number: u32| b'0' + u8::try_from(number % 10).unwrap_or_default();
    [digit(number / 10), digit(number)]
}

/// Writes the 36 characters of a UUID, in quotes.
pub(crate) fn write_uuid(number: u128, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'-'; 38];
    let mut places = text.iter_mut();
    for (index, byte) in number.to_be_bytes().into_iter().enumerate() {
        // A quote or a hyphen comes before these bytes, and stays.
        if matches!(index, 0 | 4 | 6 | 8 | 10) {
            places.next();
        }
        for half in [byte >> 4, byte & 0xf] {
            if let (Some(place), Some(digit)) = (places.next(), DIGITS.get(usize::from(half))) {
                *place = *digit;
            }
        }
    }
    let [first, .., last] = &mut text;
    (*first, *last) = (b'"', b'"');
    out.extend_from_slice(&text);
}

/// What the text of a `Decimal` says.
enum Decimal<'t> {
    Float(f64),
    Zero,
    /// Digits before and after a point that is moved behind all of them and as many zeros.
    Integer {
        sign: &'t str,
        digits: (&'t str, &'t str),
        zeros: usize,
    },
}

impl<'t> Decimal<'t> {
    /// Source: CPython, `Decimal.__str__`: an exponent above zero is written, with a sign, behind `E`.
    fn read(text: &'t str) -> Option<Self> {
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (sign, _) = text.split_at_checked(text.len() - unsigned.len())?;
        let (coefficient, exponent) = match unsigned.split_once("E+") {
            Some((coefficient, exponent)) => (coefficient, Some(exponent.parse::<usize>().ok()?)),
            None => (unsigned, None),
        };
        let (whole, fraction) = coefficient.split_once('.').unwrap_or((coefficient, ""));
        let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_number(whole) || !is_number(fraction) {
            return None;
        }
        if exponent.is_none() && coefficient.contains('.') {
            return text.parse().ok().map(Self::Float);
        }
        if whole == "0" {
            return fraction.is_empty().then_some(Self::Zero);
        }
        let zeros = exponent.unwrap_or_default().checked_sub(fraction.len())?;
        Some(Self::Integer { sign, digits: (whole, fraction), zeros })
    }
}

/// Whether Python prints integers of so many digits; where it has no limit, it has to make them.
fn is_printed(py: Python<'_>, digits: usize) -> PyResult<bool> {
    let limit: usize = py.import("sys")?.call_method0(intern!(py, "get_int_max_str_digits"))?.extract()?;
    Ok(digits <= limit)
}

/// The offset from UTC of a date-time or time, in microseconds.
fn offset_of(moment: &Bound<'_, PyAny>, aware: bool) -> PyResult<Option<i64>> {
    if !aware {
        return Ok(None);
    }
    let offset = moment.call_method0(intern!(moment.py(), "utcoffset"))?;
    if offset.is_none() {
        return Ok(None);
    }
    Ok(microseconds_of(offset.cast::<PyDelta>()?))
}

fn microseconds_of(duration: &Bound<'_, PyDelta>) -> Option<i64> {
    let seconds = i64::from(duration.get_days()) * SECONDS_PER_DAY + i64::from(duration.get_seconds());
    seconds.checked_mul(MICROSECONDS_PER_SECOND)?.checked_add(duration.get_microseconds().into())
}
