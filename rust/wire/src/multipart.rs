//! The parts of a multipart body that is plainly well-formed, and nothing of any other.
//!
//! What is refused here is read by the reference itself: preambles, padding, escapes, odd headers, truncated bodies.
use memchr::{memchr, memmem};
use smallvec::SmallVec;

/// The most headers of one part. Source: python-multipart, `DEFAULT_MAX_HEADER_COUNT`.
pub(crate) const MOST_HEADERS: usize = 8;

/// The longest line of a header, in bytes; python-multipart takes a few more.
pub(crate) const LONGEST_HEADER: usize = 4096;

/// The longest boundary, in bytes. Source: RFC 2046, section 5.1.1.
const LONGEST_BOUNDARY: usize = 70;

/// Names as they were sent, and values without the spaces in front of them.
pub type Headers<'b> = SmallVec<[(&'b [u8], &'b [u8]); 4]>;

/// One part, borrowed from the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'b> {
    /// The name of the field.
    pub name: &'b [u8],
    /// The name of the file, if it is one.
    pub file_name: Option<&'b [u8]>,
    /// All its headers, in order.
    pub headers: Headers<'b>,
    /// What is between its headers and the next boundary.
    pub content: &'b [u8],
}

/// The boundary that a `Content-Type` names, if it is `multipart/form-data` with plain parameters, none a charset.
///
/// Other parameters mean nothing to python-multipart; what is not plain is for it to read.
#[must_use]
pub fn boundary(content_type: &[u8]) -> Option<&[u8]> {
    let mut rest = content_type.strip_prefix(b"multipart/form-data")?;
    let mut boundary = None;
    while !rest.is_empty() {
        let parameter = trim_spaces(rest.strip_prefix(b";")?);
        let (name, value) = parameter.split_at_checked(memchr(b'=', parameter)?)?;
        let (value, after) = parameter_value(value.get(1..)?)?;
        if name == b"boundary" {
            let is_usable = (1..=LONGEST_BOUNDARY).contains(&value.len()) && value.iter().copied().all(is_plain);
            if !is_usable || boundary.replace(value).is_some() {
                return None;
            }
        } else if !is_meaningless(name) {
            return None;
        }
        rest = trim_spaces(after);
    }
    boundary
}

/// Whether a parameter of this name is one that python-multipart, or Starlette, does not look for.
fn is_meaningless(name: &[u8]) -> bool {
    let is_name = !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    is_name && !name.eq_ignore_ascii_case(b"boundary") && !name.eq_ignore_ascii_case(b"charset")
}

/// A plain value, in quotes or not, and what follows it.
fn parameter_value(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    if let Some(quoted) = rest.strip_prefix(b"\"") {
        let (value, after) = quoted.split_at_checked(memchr(b'"', quoted)?)?;
        let is_readable = value.iter().all(|byte| matches!(byte, b' '..=b'~') && *byte != b'\\');
        return is_readable.then_some((value, after.get(1..)?));
    }
    let end = rest.iter().position(|byte| !is_plain(*byte)).unwrap_or(rest.len());
    rest.split_at_checked(end)
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"'()+_,-./:?".contains(&byte)
}

fn trim_spaces(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|byte| *byte != b' ').unwrap_or(bytes.len());
    bytes.get(start..).unwrap_or_default()
}

/// The parts of a whole body.
///
/// Source: Starlette, `formparsers.MultiPartParser` on python-multipart's `MultipartParser`; RFC 7578.
#[must_use]
pub fn parts<'b>(body: &'b [u8], boundary: &[u8]) -> Option<Vec<Part<'b>>> {
    let delimiter = [b"\r\n--", boundary].concat();
    let finder = memmem::Finder::new(&delimiter);
    let mut parts = Vec::new();
    let mut rest = body.strip_prefix(delimiter.get(2..)?)?;
    loop {
        let (headers, after) = headers(rest.strip_prefix(b"\r\n")?)?;
        let end = finder.find(after)?;
        let (name, file_name) = names(&headers)?;
        parts.push(Part { name, file_name, headers, content: after.get(..end)? });
        rest = after.get(end + delimiter.len()..)?;
        if let Some(epilogue) = rest.strip_prefix(b"--") {
            return matches!(epilogue, b"" | b"\r\n").then_some(parts);
        }
    }
}

/// The headers in front of a part's content, and what follows the empty line.
fn headers(mut rest: &[u8]) -> Option<(Headers<'_>, &[u8])> {
    let mut headers = Headers::new();
    loop {
        if let Some(content) = rest.strip_prefix(b"\r\n") {
            return Some((headers, content));
        }
        let (line, after) = rest.split_at_checked(memchr(b'\r', rest)?)?;
        rest = after.strip_prefix(b"\r\n")?;
        if line.len() > LONGEST_HEADER || headers.len() == MOST_HEADERS {
            return None;
        }
        headers.push(header(line)?);
    }
}

/// The name and the value in a line.
pub(crate) fn header(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, value) = line.split_at_checked(memchr(b':', line)?)?;
    let value = value.get(1..)?;
    let is_plain = !name.is_empty()
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
        && value.iter().all(|byte| !byte.is_ascii_control() || *byte == b'\t');
    is_plain.then(|| (name, trim_spaces(value)))
}

/// The names in the one `Content-Disposition`.
fn names<'b>(headers: &Headers<'b>) -> Option<(&'b [u8], Option<&'b [u8]>)> {
    let mut found = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"content-disposition"));
    let (_, value) = found.next()?;
    if found.next().is_some() {
        return None;
    }
    disposition(value)
}

/// The names in `form-data; name="field"; filename="file"`, the value of a `Content-Disposition`.
pub(crate) fn disposition(value: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let (name, rest) = parameter(value.strip_prefix(b"form-data")?, b"name=\"")?;
    if rest.is_empty() {
        return Some((name, None));
    }
    let (file_name, rest) = parameter(rest, b"filename=\"")?;
    rest.is_empty().then_some((name, Some(file_name)))
}

/// The quoted value of the next parameter, and what follows its quotes.
fn parameter<'b>(text: &'b [u8], key: &[u8]) -> Option<(&'b [u8], &'b [u8])> {
    let value = text.strip_prefix(b";")?.trim_ascii_start().strip_prefix(key)?;
    let (value, rest) = value.split_at_checked(memchr(b'"', value)?)?;
    (memchr(b'\\', value).is_none()).then_some((value, rest.get(1..)?))
}

#[cfg(test)]
mod tests {
    use super::{Part, boundary, parts};

    fn named(name: &'static [u8], content: &'static [u8]) -> (&'static [u8], Option<&'static [u8]>, &'static [u8]) {
        (name, None, content)
    }

    #[test]
    fn boundary_is_read_among_plain_parameters() {
        let table: [(&[u8], Option<&[u8]>); 25] = [
            (b"multipart/form-data; boundary=abc", Some(b"abc")),
            (b"multipart/form-data;boundary=\"a-b.c\"", Some(b"a-b.c")),
            (b"Multipart/Form-Data;boundary=a", None),
            (b"multipart/form-data", None),
            (b"multipart/form-data; boundary=", None),
            (b"multipart/form-data; boundary=a b", None),
            (b"multipart/form-data; boundary=\"a", None),
            (b"multipart/form-data; Boundary=a", None),
            (b"multipart/form-data; boundary=a; charset=latin-1", None),
            (b"multipart/form-data; charset=latin-1; boundary=a", None),
            (b"multipart/mixed; boundary=a", None),
            (b"multipart/form-data; x=y; boundary=a ; Z-1=\";\";x=(y)", Some(b"a")),
            (b"multipart/form-data; x=\"\";boundary=\"a\" ", Some(b"a")),
            (b"multipart/form-data; x=; boundary=a", Some(b"a")),
            (b"multipart/form-data; boundary=a; boundary=a", None),
            (b"multipart/form-data; boundary=a; boundary*=utf-8''b", None),
            (b"multipart/form-data; boundary=a; x=\"\\\"\"", None),
            (b"multipart/form-data; boundary=a; x=\"y\"z", None),
            (b"multipart/form-data; boundary=a; x=\"y", None),
            (b"multipart/form-data; boundary=a; Charset=\"latin-1\"", None),
            (b"multipart/form-data; boundary=a; BOUNDARY=b", None),
            (b"multipart/form-data; boundary=a;", None),
            (b"multipart/form-data; boundary=a; x", None),
            (b"multipart/form-data; boundary=a;; x=y", None),
            (b"multipart/form-data boundary=a", None),
        ];
        for (header, expected) in table {
            assert_eq!(boundary(header), expected, "{}", header.escape_ascii());
        }
    }

    #[test]
    fn parts_are_fields_and_files() {
        let body = b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x\r\n\
            content-disposition:form-data;name=\"f\"; filename=\"n;.txt\"\r\nContent-Type: text/plain\r\n\r\n\
            \r\n--y\r\n\r\n--x--\r\n";
        let found = parts(body, b"x").unwrap();
        let short: Vec<_> = found.iter().map(|part| (part.name, part.file_name, part.content)).collect();
        assert_eq!(short, [named(b"a", b"1"), (b"f", Some(b"n;.txt"), b"\r\n--y\r\n")]);
        assert_eq!(found.get(1).map(|part: &Part<'_>| part.headers.len()), Some(2));
    }

    #[test]
    fn anything_unusual_is_refused() {
        let plain: &[u8] = b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--";
        assert!(parts(plain, b"x").is_some());
        for end in 0..plain.len() {
            assert_eq!(parts(&plain[..end], b"x"), None, "{end} bytes");
        }
        let table: [&[u8]; 12] = [
            b"--x--",
            b"\r\n--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--",
            b"--x\nContent-Disposition: form-data; name=\"a\"\n\n1\n--x--",
            b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--and more",
            b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x \r\n\r\n\r\n--x--",
            b"--x\r\nContent-Disposition: form-data; name=\"a\\\"b\"\r\n\r\n1\r\n--x--",
            b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--x--",
            b"--x\r\nContent-Disposition: form-data; name=\"a\"; filename*=utf-8''b\r\n\r\n1\r\n--x--",
            b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--",
            b"--x\r\n\r\n1\r\n--x--",
            b"--x\r\nA: \n\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--",
            b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\nContent-Disposition: form-data; name=\"b\"\r\n\r\n1\r\n--x--",
        ];
        for body in table {
            assert_eq!(parts(body, b"x"), None, "{}", body.escape_ascii());
        }
    }
}
