//! What must hold for any bytes that reach the crate `wire`; agreement with Python is tested in `tests/core`.
//!
//! Each function takes what a client may send and panics where a rule is broken. The targets of libFuzzer
//! (`make fuzz`) and the properties in `tests/any_bytes.rs` run the same functions.
#![expect(clippy::missing_panics_doc, reason = "to panic is what a check is for")]
use wire::media_type::{self, MediaType};
use wire::{Find, Methods, Routes, Template, cookie, form, json, multipart, percent, query};

/// A check and the name of its target.
pub type Check = (&'static str, fn(&[u8]));

/// Every check, in the order a request meets them.
pub const CHECKS: [Check; 10] = [
    ("template", template),
    ("routes", routes),
    ("percent", percent),
    ("query", query),
    ("cookie", cookie),
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
    let Ok(parsed) = Template::parse(template) else { return };
    assert_eq!(parsed.path(), template);
    assert_eq!(parsed.names().len(), parsed.convertors().len());
    if let Some(captures) = parsed.captures(path) {
        assert_eq!(captures.len(), parsed.convertors().len());
        assert!(parsed.convertors().zip(captures.iter()).all(|(convertor, text)| convertor.accepts(text)));
    }
}

/// The tree finds the first of its templates that captures the path. The last line is the path, the others templates.
pub fn routes(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Some((lines, path)) = text.rsplit_once('\n') else { return };
    let templates: Vec<Template> = lines.split('\n').filter_map(|line| Template::parse(line).ok()).collect();
    let mut tree = Routes::new();
    for template in &templates {
        tree.insert(template.clone(), Methods::any(), ());
    }
    let expected = templates.iter().position(|template| template.captures(path).is_some());
    let found = match tree.find(path, "GET") {
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

/// There are no more pairs than separators allow.
pub fn query(bytes: &[u8]) {
    let most = bytes.split(|byte| *byte == b'&').count();
    assert!(query::pairs(bytes).count() <= most);
}

/// There are no more cookies than separators allow, and none has an empty name and an empty value, but for quotes.
pub fn cookie(bytes: &[u8]) {
    let most = bytes.split(|byte| *byte == b';').count();
    let has_quotes = bytes.windows(2).any(|pair| pair == b"\"\"");
    let is_something = |(name, value): &query::Pair<'_>| !name.is_empty() || !value.is_empty() || has_quotes;
    assert!(cookie::pairs(bytes).inspect(|pair| assert!(is_something(pair))).count() <= most);
}

/// What is JSON has a type and a subtype, and is no form.
pub fn media_type(bytes: &[u8]) {
    let parsed = MediaType::parse(bytes);
    assert_eq!(media_type::is_json(bytes), parsed.is_some_and(|parsed| parsed.is_json()));
    if media_type::is_json(bytes) {
        let kind = media_type::form_kind(bytes);
        assert!(matches!(kind, media_type::FormKind::Neither | media_type::FormKind::Unsure));
    }
    let count = parsed.map_or(0, |parsed| parsed.parameters().count());
    assert!(count <= bytes.len());
}

/// A limit of fields is kept.
pub fn form(bytes: &[u8]) {
    let limits = form::Limits { fields: 3, field_size: 1000 };
    assert!(form::pairs(bytes, limits).take_while(Result::is_ok).count() <= 3);
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
