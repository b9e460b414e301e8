//! Dates and times in ISO 8601, as `to_json` of pydantic prints them: exact types, and time zones without user code.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDate, PyDateTime, PyDelta, PyDeltaAccess, PyTime, PyType, PyTzInfo, PyTzInfoAccess};

use super::plain::{Done, NotPlain};
use crate::serialize::{two_digits, write_date, write_time};

pub(super) fn datetime(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Done {
    let moment = value.cast_exact::<PyDateTime>()?;
    out.push(b'"');
    write_date(moment, out);
    out.push(b'T');
    write_time(moment, out);
    if let Some(zone) = moment.get_tzinfo() {
        offset(moment, &zone, out)?;
    }
    out.push(b'"');
    Ok(())
}

pub(super) fn date(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Done {
    let date = value.cast_exact::<PyDate>()?;
    out.push(b'"');
    write_date(date, out);
    out.push(b'"');
    Ok(())
}

/// Writes a time of day that has no time zone.
pub(super) fn time(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Done {
    let time = value.cast_exact::<PyTime>()?;
    if time.get_tzinfo().is_some() {
        return Err(NotPlain);
    }
    out.push(b'"');
    write_time(time, out);
    out.push(b'"');
    Ok(())
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
    let offset = offset.cast_exact::<PyDelta>()?;
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
