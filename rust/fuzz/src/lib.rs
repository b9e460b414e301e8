//! What must hold for any bytes that reach the crates `wire` and `http`; agreement with Python is tested in `tests/core`.
//!
//! Each function takes what a client may send and panics where a rule is broken. The targets of libFuzzer
//! (`make fuzz`) and the properties in `tests/any_bytes.rs` run the same functions.
#![expect(clippy::missing_panics_doc, reason = "to panic is what a check is for")]
pub mod connection;

use wire::media_type;
use wire::{Find, Routes, Template, authorization, cookie, form, json, latin1, multipart, percent, query, scalar};

/// A check and the name of its target.
pub type Check = (&'static str, fn(&[u8]));

/// Every check, in the order a request meets them.
pub const CHECKS: [Check; 15] = [
    ("head", connection::head),
    ("chunked", connection::chunked),
    ("connection", connection::connection),
    ("template", template),
    ("routes", routes),
    ("percent", percent),
    ("query", query),
    ("cookie", cookie),
    ("authorization", authorization),
    ("scalar", scalar),
    ("media_type", media_type),
    ("form", form),
    ("multipart", multipart),
    ("json_string", json_string),
    ("json_number", json_number),
];

/// A template keeps its text, and gives each of its parameters a convertor that accepts what was captured.
pub fn template(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (template, path) = text.split_once('\n').unwrap_or((&text, "/a/1"));
    let Some(parsed) = Template::parse(template) else { return };
    assert_eq!(parsed.path(), template);
    assert_eq!(parsed.names().len(), parsed.convertors().len());
    if let Some(captures) = parsed.captures(path) {
        assert_eq!(captures.iter().len(), parsed.convertors().len());
        assert!(parsed.convertors().zip(captures.iter()).all(|(convertor, text)| convertor.accepts(text)));
    }
}

/// The tree finds the first of its templates that captures the path. The last line is the path, the others templates.
pub fn routes(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Some((lines, path)) = text.rsplit_once('\n') else { return };
    let templates: Vec<Template> = lines.split('\n').filter_map(Template::parse).collect();
    let mut tree = Routes::default();
    for template in &templates {
        tree.insert(template.clone(), ());
    }
    let expected = templates.iter().position(|template| template.captures(path).is_some());
    let found = match tree.find(path, |()| true) {
        Find::Full(found) | Find::Partial(found) => Some(found.index),
        Find::None => None,
    };
    assert_eq!(found, expected);
}

/// Bytes without an escape stay as they are; a plus is a space in one of the two readings.
pub fn percent(bytes: &[u8]) {
    let plain: Vec<u8> = bytes.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    assert_eq!(percent::unquote_plus(bytes), percent::unquote(&plain));
    if bytes.is_ascii() && !bytes.contains(&b'%') {
        assert_eq!(percent::unquote(bytes).as_bytes(), bytes);
    }
}

/// The parts are those between the separators that are not empty, and what is called plain decodes to itself.
pub fn query(bytes: &[u8]) {
    let expected: Vec<(&[u8], &[u8])> = divided(bytes).collect();
    let parts: Vec<query::QuotedPair<'_>> = query::parts(bytes).collect();
    assert!(parts.iter().map(|part| (part.name.raw, part.value.raw)).eq(expected.iter().copied()));
    for (part, (name, value)) in parts.iter().zip(query::pairs(bytes)) {
        assert_is_text(part.name, &name);
        assert_is_text(part.value, &value);
    }
}

/// The names and values as they are sent.
fn divided(bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    bytes.split(|byte| *byte == b'&').filter(|part| !part.is_empty()).map(|part| {
        let mut halves = part.splitn(2, |byte| *byte == b'=');
        (halves.next().unwrap_or_default(), halves.next().unwrap_or_default())
    })
}

fn assert_is_text(quoted: query::Quoted<'_>, text: &str) {
    assert_eq!(quoted.decode(), text);
    assert_eq!(&*quoted.bytes(), text.as_bytes());
    assert!(quoted.plain().is_none_or(|plain| plain == text.as_bytes()));
}

/// There are no more cookies than separators allow, and none has an empty name and an empty value, but for quotes.
pub fn cookie(bytes: &[u8]) {
    let most = bytes.split(|byte| *byte == b';').count();
    let has_quotes = bytes.windows(2).any(|pair| pair == b"\"\"");
    let is_something = |(name, value): &query::Pair<'_>| !name.is_empty() || !value.is_empty() || has_quotes;
    assert!(cookie::pairs(bytes).inspect(|pair| assert!(is_something(pair))).count() <= most);
}

/// Nothing of a header is invented, and what Basic says has no other way of writing but for bits of the last character.
pub fn authorization(bytes: &[u8]) {
    let header = latin1::decode(bytes);
    assert_eq!(header.chars().count(), bytes.len());
    let (scheme, rest) = authorization::split(&header);
    assert!(header.starts_with(scheme) && header.contains(rest) && !scheme.contains(' '));
    if let Some(text) = authorization::basic(rest) {
        assert!(text.is_ascii());
        assert_eq!(rest.len(), text.len().div_ceil(3) * 4);
    }
}

/// What is an integer is that number, and both are what the standard library reads.
pub fn scalar(bytes: &[u8]) {
    if let Some(integer) = scalar::integer(bytes) {
        assert_eq!(integer.to_string().as_bytes(), bytes);
    }
    if let Some(number) = scalar::number(bytes) {
        assert_eq!(read::<f64>(bytes).map(f64::to_bits), Some(number.to_bits()));
        assert!(number.is_finite());
    }
    if let (Some(truth), Some(integer)) = (scalar::truth(bytes), scalar::integer(bytes)) {
        assert_eq!(i64::from(truth), integer);
    }
}

/// What is JSON is no form.
pub fn media_type(bytes: &[u8]) {
    if media_type::is_json(bytes) {
        let kind = media_type::form_kind(bytes);
        assert!(matches!(kind, media_type::FormKind::Neither | media_type::FormKind::Unsure));
    }
}

/// The fields are those of a query, up to the first that exceeds a limit. The first two bytes are the limits.
pub fn form(bytes: &[u8]) {
    let ([fields, field_size], body) = bytes.split_first_chunk().unwrap_or((&[3, 100], bytes));
    let limits = form::Limits { fields: usize::from(*fields % 16), field_size: usize::from(*field_size) };
    let mut expected = query::parts(body).zip(1..);
    for found in form::pairs(body, limits) {
        let Some((part, number)) = expected.next() else { panic!("more fields than parts") };
        match found {
            Ok(field) => {
                assert_eq!(field.decode(), part.decode());
                assert!(number <= limits.fields && size(part) <= limits.field_size);
            }
            Err(form::LimitError::FieldTooLarge) => return assert!(size(part) > limits.field_size),
            Err(form::LimitError::TooManyFields) => return assert!(number > limits.fields),
        }
    }
    assert!(expected.next().is_none());
}

fn size(part: query::QuotedPair<'_>) -> usize {
    part.name.raw.len() + part.value.raw.len()
}

/// The parts of a body are those of the body that is made of them, and a boundary is that of a multipart form.
pub fn multipart(bytes: &[u8]) {
    if multipart::boundary(bytes).is_some() {
        assert_eq!(media_type::form_kind(bytes), media_type::FormKind::Multipart);
    }
    let mut body = Vec::new();
    let Some(parts) = multipart::parts(bytes, b"x") else { return };
    for part in &parts {
        body.extend_from_slice(b"--x\r\n");
        for (name, value) in &part.headers {
            body.extend_from_slice(&[name, &b": "[..], value, b"\r\n"].concat());
        }
        body.extend_from_slice(&[b"\r\n", part.content, b"\r\n"].concat());
    }
    body.extend_from_slice(b"--x--");
    assert_eq!(multipart::parts(&body, b"x").as_ref(), Some(&parts));
}

/// Text becomes one JSON string: two quotes around it, no control character in it, and nothing is lost.
pub fn json_string(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut written = Vec::new();
    json::write_str(&text, &mut written);
    let inner = written.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or_default();
    assert!(written.iter().all(|byte| *byte >= b' '));
    assert_eq!(unescaped(inner).as_deref(), Some(&*text));
}

/// Reads the escapes of a JSON string; `None` if one is broken or a quote stands alone.
fn unescaped(inner: &[u8]) -> Option<String> {
    let mut out = Vec::new();
    let mut bytes = inner.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return None,
            b'\\' => match bytes.next()? {
                b'n' => out.push(b'\n'),
                b'r' => out.push(b'\r'),
                b't' => out.push(b'\t'),
                b'b' => out.push(8),
                b'f' => out.push(12),
                b'u' => {
                    let digits: Vec<u8> = bytes.by_ref().take(4).collect();
                    out.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
                }
                quoted @ (b'"' | b'\\' | b'/') => out.push(quoted),
                _ => return None,
            },
            _ => out.push(byte),
        }
    }
    String::from_utf8(out).ok()
}

/// A number reads back as itself.
pub fn json_number(bytes: &[u8]) {
    let Some(first) = bytes.first_chunk() else { return };
    let mut written = Vec::new();
    json::write_i64(i64::from_le_bytes(*first), &mut written);
    assert_eq!(read::<i64>(&written), Some(i64::from_le_bytes(*first)));
    let number = f64::from_le_bytes(*first);
    if number.is_finite() {
        written.clear();
        json::write_f64(number, &mut written);
        assert_eq!(read::<f64>(&written).map(f64::to_bits), Some(number.to_bits()));
    }
}

fn read<T: std::str::FromStr>(written: &[u8]) -> Option<T> {
    std::str::from_utf8(written).ok()?.parse().ok()
}
