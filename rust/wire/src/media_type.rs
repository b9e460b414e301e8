//! What a Content-Type header names.
//! Above latin-1 text; reading a body of that type is the caller's business.
use std::borrow::Cow;

use crate::latin1;

/// A Content-Type in its parts, borrowed from the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaType<'h> {
    /// The text before the slash, in the header's own case.
    pub kind: &'h [u8],
    /// The text after the slash, in the header's own case.
    pub subtype: &'h [u8],
    /// Everything after the first semicolon.
    parameters: &'h [u8],
}

/// Which parser a body with this Content-Type gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormKind {
    /// `application/x-www-form-urlencoded`.
    UrlEncoded,
    /// `multipart/form-data`.
    Multipart,
    /// No form.
    Neither,
    /// A header whose reading is the reference's own business: ask `parse_options_header`.
    Unsure,
}

impl<'h> MediaType<'h> {
    /// Reads a header; `None` if there is not exactly one slash before the parameters.
    ///
    /// Source: `email.message.Message.get_content_type`, which takes such a header for `text/plain`.
    #[must_use]
    pub fn parse(header: &'h [u8]) -> Option<Self> {
        let (essence, parameters) = crate::query::split_once(header, b';');
        let (kind, subtype) = crate::query::split_once(latin1::trim(essence), b'/');
        let subtype = subtype.filter(|subtype| memchr::memchr(b'/', subtype).is_none())?;
        Some(Self { kind, subtype, parameters: parameters.unwrap_or_default() })
    }

    /// Whether it is `application/json` or `application/*+json`, in any case.
    #[must_use]
    pub fn is_json(&self) -> bool {
        let has_suffix = || self.subtype.last_chunk().is_some_and(|end: &[u8; 5]| end.eq_ignore_ascii_case(b"+json"));
        self.kind.eq_ignore_ascii_case(b"application") && (self.subtype.eq_ignore_ascii_case(b"json") || has_suffix())
    }

    /// The names and values of the parameters, names in the header's own case, quotes and backslashes of values taken away.
    ///
    /// Source: RFC 9110, section 5.6.6. Parts without `=` are skipped.
    pub fn parameters(&self) -> impl Iterator<Item = (Cow<'h, str>, Cow<'h, str>)> + use<'h> {
        Parameters { rest: self.parameters }
    }
}

/// Whether FastAPI reads a body with this Content-Type as JSON.
///
/// An answer for every header text: only ASCII letters and the place of `;` and `/` matter to the reference.
///
/// Source: FastAPI behaviour, `routing.get_request_handler`, by `email.message.Message.get_content_maintype` and `get_content_subtype`.
#[must_use]
pub fn is_json(header: &[u8]) -> bool {
    header == b"application/json" || MediaType::parse(header).is_some_and(|media_type| media_type.is_json())
}

/// Which form parser Starlette chooses for this Content-Type.
///
/// Source: Starlette, `Request._get_form`, by python-multipart's `parse_options_header`.
#[must_use]
pub fn form_kind(header: &[u8]) -> FormKind {
    // What most clients send, at a glance.
    if header == b"application/x-www-form-urlencoded" {
        return FormKind::UrlEncoded;
    }
    let (essence, _) = crate::query::split_once(header, b';');
    // Quotes and equal signs can move the first semicolon, and other white space is not trimmed. Capitals mean the same to
    // some versions of python-multipart only.
    let is_plain = |byte: &u8| matches!(byte, b' ' | b'\t' | 0x21..=0x7e) && !matches!(byte, b'"' | b'=' | b'A'..=b'Z');
    if !essence.iter().all(is_plain) {
        return FormKind::Unsure;
    }
    match essence.trim_ascii() {
        b"application/x-www-form-urlencoded" => FormKind::UrlEncoded,
        b"multipart/form-data" => FormKind::Multipart,
        _ => FormKind::Neither,
    }
}

struct Parameters<'h> {
    rest: &'h [u8],
}

impl<'h> Iterator for Parameters<'h> {
    type Item = (Cow<'h, str>, Cow<'h, str>);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let end = self.rest.iter().scan(Quotes::default(), |quotes, byte| Some(quotes.step(*byte)));
            let end = end.zip(self.rest).position(|(is_quoted, byte)| !is_quoted && *byte == b';');
            let (part, after) = self.rest.split_at_checked(end.unwrap_or(self.rest.len()))?;
            self.rest = after.get(1..).unwrap_or_default();
            if let (name, Some(value)) = crate::query::split_once(part, b'=') {
                return Some((latin1::decode(latin1::trim(name)), unquote(latin1::trim(value))));
            }
        }
        None
    }
}

/// Whether the bytes so far end inside a quoted string.
#[derive(Default)]
struct Quotes {
    is_open: bool,
    is_escaped: bool,
}

impl Quotes {
    fn step(&mut self, byte: u8) -> bool {
        if self.is_escaped {
            self.is_escaped = false;
        } else if byte == b'"' {
            self.is_open = !self.is_open;
        } else {
            self.is_escaped = self.is_open && byte == b'\\';
        }
        self.is_open
    }
}

fn unquote(value: &[u8]) -> Cow<'_, str> {
    let [b'"', inner @ .., b'"'] = value else {
        return latin1::decode(value);
    };
    if memchr::memchr(b'\\', inner).is_none() {
        return latin1::decode(inner);
    }
    let mut text = String::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        let byte = if *byte == b'\\' { bytes.next().unwrap_or(byte) } else { byte };
        text.push(char::from(*byte));
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::{FormKind, MediaType, form_kind, is_json};

    #[test]
    fn is_json_says_what_message_says() {
        let table: [(&[u8], bool); 22] = [
            (b"application/json", true),
            (b"Application/JSON; charset=utf-8", true),
            (b" application/json\t;", true),
            (b"\xa0application/json\x85", true),
            (b"application/vnd.api+JSON", true),
            (b"application/+json", true),
            (b"application/json;/", true),
            (b"application/json+", false),
            (b"application/xjson", false),
            (b"application/json,text/plain", false),
            (b"application/json/", false),
            (b"application /json", false),
            (b"application/ json", false),
            (b"application/ +json", true),
            (b"application/geo\xe9+json", true),
            (b"text/json", false),
            (b"application", false),
            (b"json", false),
            (b"", false),
            (b";application/json", false),
            (b"\"application/json\"", false),
            (b"application//json", false),
        ];
        for (header, expected) in table {
            assert_eq!(is_json(header), expected, "{}", header.escape_ascii());
        }
    }

    #[test]
    fn form_kind_is_certain_for_plain_headers_only() {
        let table: [(&[u8], FormKind); 14] = [
            (b"application/x-www-form-urlencoded", FormKind::UrlEncoded),
            (b"\tapplication/x-www-form-urlencoded ; charset=utf-8", FormKind::UrlEncoded),
            (b"application/X-www-form-urlencoded", FormKind::Unsure),
            (b"multipart/form-data; boundary=\"a;b\"", FormKind::Multipart),
            (b"multipart/form-data", FormKind::Multipart),
            (b"multipart/mixed; boundary=a", FormKind::Neither),
            (b"application/json", FormKind::Neither),
            (b"", FormKind::Neither),
            (b";multipart/form-data", FormKind::Neither),
            (b"multipart/form-data\x0b", FormKind::Unsure),
            (b"\nmultipart/form-data; a", FormKind::Unsure),
            (b"multipart/form-data\"; a\"", FormKind::Unsure),
            (b"multipart/form-data\xa0;", FormKind::Unsure),
            (b"multipart/form-data=;", FormKind::Unsure),
        ];
        for (header, expected) in table {
            assert_eq!(form_kind(header), expected, "{}", header.escape_ascii());
        }
    }

    #[test]
    fn parameters_are_divided_outside_quotes() {
        let header = b"multipart/form-data ; Boundary=\"a;\\\"b\" ;x; charset = utf-8;caf\xe9=";
        let media_type = MediaType::parse(header).unwrap();
        assert_eq!((media_type.kind, media_type.subtype), (&b"multipart"[..], &b"form-data"[..]));
        let parameters: Vec<_> = media_type.parameters().collect();
        let expected = [("Boundary", "a;\"b"), ("charset", "utf-8"), ("café", "")];
        assert_eq!(parameters, expected.map(|(name, value)| (name.into(), value.into())));
    }
}
