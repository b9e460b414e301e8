//! What a Content-Type header names.
//! Above latin-1 text; reading a body of that type is the caller's business.
use crate::latin1;

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

/// Whether FastAPI reads a body with this Content-Type as JSON.
///
/// An answer for every header text: only ASCII letters and the place of `;` and `/` matter to the reference.
///
/// Source: FastAPI behaviour, `routing.get_request_handler`, by `email.message.Message.get_content_maintype` and `get_content_subtype`.
#[must_use]
pub fn is_json(header: &[u8]) -> bool {
    header == b"application/json" || is_other_json(header).unwrap_or_default()
}

/// Whether it is `application/json` or `application/*+json`, in any case; nothing without exactly one slash before the
/// parameters: the reference takes that for `text/plain`.
fn is_other_json(header: &[u8]) -> Option<bool> {
    let (essence, _) = crate::query::split_once(header, b';');
    let (kind, subtype) = crate::query::split_once(latin1::trim(essence), b'/');
    let subtype = subtype.filter(|subtype| memchr::memchr(b'/', subtype).is_none())?;
    let has_suffix = || subtype.last_chunk().is_some_and(|end: &[u8; 5]| end.eq_ignore_ascii_case(b"+json"));
    Some(kind.eq_ignore_ascii_case(b"application") && (subtype.eq_ignore_ascii_case(b"json") || has_suffix()))
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

#[cfg(test)]
mod tests {
    use super::{FormKind, form_kind, is_json};

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
}
