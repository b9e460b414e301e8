//! Dates and times in ISO 8601, as `to_json` of pydantic prints them: exact types, and time zones without user code.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{
    PyDate, PyDateAccess, PyDateTime, PyDelta, PyDeltaAccess, PyTime, PyTimeAccess, PyType, PyTzInfo, PyTzInfoAccess,
};

use super::plain::{Done, NotPlain, exact};

pub(super) fn datetime(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Done {
    let moment = exact::<PyDateTime>(value)?;
    out.push(b'"');
    calendar(moment, out);
    out.push(b'T');
    clock(moment, out);
    if let Some(zone) = moment.get_tzinfo() {
        offset(moment, &zone, out)?;
    }
    out.push(b'"');
    Ok(())
}

pub(super) fn date(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Done {
    let date = exact::<PyDate>(value)?;
    out.push(b'"');
    calendar(date, out);
    out.push(b'"');
    Ok(())
}

/// Writes a time of day that has no time zone.
pub(super) fn time(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Done {
    let time = exact::<PyTime>(value)?;
    if time.get_tzinfo().is_some() {
        return Err(NotPlain);
    }
    out.push(b'"');
    clock(time, out);
    out.push(b'"');
    Ok(())
}

fn calendar(date: &impl PyDateAccess, out: &mut Vec<u8>) {
    let year = u32::try_from(date.get_year()).unwrap_or_default();
    let (month, day) = (two_digits(date.get_month().into()), two_digits(date.get_day().into()));
    let (century, year) = (two_digits(year / 100), two_digits(year % 100));
    out.extend_from_slice(&[century[0], century[1], year[0], year[1], b'-', month[0], month[1], b'-', day[0], day[1]]);
}

fn clock(time: &impl PyTimeAccess, out: &mut Vec<u8>) {
    let (hour, minute) = (two_digits(time.get_hour().into()), two_digits(time.get_minute().into()));
    let second = two_digits(time.get_second().into());
    out.extend_from_slice(&[hour[0], hour[1], b':', minute[0], minute[1], b':', second[0], second[1]]);
    let fraction = time.get_microsecond();
    if fraction != 0 {
        out.push(b'.');
        for part in [fraction / 10_000, fraction / 100, fraction] {
            out.extend_from_slice(&two_digits(part));
        }
    }
}

/// The last two digits of a number.
fn two_digits(number: u32) -> [u8; 2] {
    let digit = |number: u32| b'0' + u8::try_from(number % 10).unwrap_or_default();
    [digit(number / 10), digit(number)]
}

fn offset(moment: &Bound<'_, PyDateTime>, zone: &Bound<'_, PyTzInfo>, out: &mut Vec<u8>) -> Done {
    static FIXED: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static NAMED: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let py = moment.py();
    if zone.is(PyTzInfo::utc(py)?) {
        out.push(b'Z');
        return Ok(());
    }
    let class = zone.get_type();
    if !class.is(FIXED.import(py, "datetime", "timezone")?) && !class.is(NAMED.import(py, "zoneinfo", "ZoneInfo")?) {
        return Err(NotPlain);
    }
    let offset = moment.call_method0(intern!(py, "utcoffset"))?;
    let offset = exact::<PyDelta>(&offset)?;
    let seconds = offset.get_days() * 86_400 + offset.get_seconds();
    if offset.get_microseconds() != 0 || seconds % 60 != 0 {
        return Err(NotPlain);
    }
    if seconds == 0 {
        out.push(b'Z');
        return Ok(());
    }
    let minutes = seconds.unsigned_abs() / 60;
    let (hours, minutes) = (two_digits(minutes / 60), two_digits(minutes % 60));
    let sign = if seconds < 0 { b'-' } else { b'+' };
    out.extend_from_slice(&[sign, hours[0], hours[1], b':', minutes[0], minutes[1]]);
    Ok(())
}
