//! What must hold for any bytes that reach the crate `http`: heads, chunks, and whole connections cut anywhere.

use http::chunked::{Chunked, Piece};
use http::head::{self, Framing, Head};
use http::{Connection, Event, Limits, Refusal};

/// What is read is within its limits, is the same without the bytes behind it, and is not read before it is whole.
///
/// The first three bytes are the limits.
pub fn head(bytes: &[u8]) {
    let ([head, line, headers], text) = bytes.split_first_chunk().unwrap_or((&[255, 255, 255], bytes));
    let limits = Limits {
        head: usize::from(*head) * 4,
        request_line: usize::from(*line) * 2,
        headers: usize::from(*headers % 80),
    };
    let Ok(Some(found)) = head::parse(text, &limits) else { return };
    assert!(found.bytes.len() <= text.len().min(limits.head) && found.headers().count() <= limits.headers);
    let (whole, _) = text.split_at(found.bytes.len());
    assert!(whole.ends_with(b"\r\n\r\n"));
    assert_is_one_message(&found);
    let alone = head::parse(whole, &limits).ok().flatten().map(|alone| format!("{alone:?}"));
    assert_eq!(alone, Some(format!("{found:?}")));
    for length in [found.bytes.len() - 1, found.bytes.len() / 2] {
        let part = whole.split_at(length).0;
        assert!(matches!(head::parse(part, &limits), Ok(None)), "{length} of {}", found.bytes.len());
    }
}

/// Its lines have no line ends in them, and what it says of its body has one meaning.
fn assert_is_one_message(head: &Head<'_>) {
    let is_line = |text: &[u8]| !text.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
    assert!(is_line(head.method.as_bytes()) && !head.method.is_empty() && head.minor_version <= 1);
    let mut framings = 0;
    for (name, value) in head.headers() {
        assert!(is_line(name) && is_line(value) && !name.is_empty());
        assert!(!name.contains(&b' ') && !name.contains(&b':'));
        if name.eq_ignore_ascii_case(b"content-length") {
            framings += 1;
            let length = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
            assert_eq!(length.map(Framing::Length), Some(head.framing));
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            framings += 1;
            assert_eq!(head.framing, Framing::Chunked);
        }
    }
    assert!(framings <= 1 && (framings == 1 || head.framing == Framing::Length(0)));
}

/// The content does not depend on where the bytes are cut, and as one chunk it is the same content.
pub fn chunked(bytes: &[u8]) {
    let (size, body) = bytes.split_first().map_or((1, bytes), |(size, body)| (usize::from(*size).max(1), body));
    let whole = content(body, usize::MAX);
    assert_eq!(content(body, 1), whole);
    assert_eq!(content(body, size), whole);
    let Ok((content_of_whole, Some(left))) = whole else { return };
    assert!(content_of_whole.len() + left < body.len());
    let mut again = Vec::new();
    if !content_of_whole.is_empty() {
        again.extend_from_slice(format!("{:x}\r\n", content_of_whole.len()).as_bytes());
        again.extend_from_slice(&[&content_of_whole, &b"\r\n"[..]].concat());
    }
    again.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(content(&again, usize::MAX), Ok((content_of_whole, Some(0))));
}

/// The content, and how many bytes are left behind the end of the body, if it has come.
fn content(body: &[u8], size: usize) -> Result<(Vec<u8>, Option<usize>), Refusal> {
    let (mut chunked, mut content, mut taken) = (Chunked::default(), Vec::new(), 0);
    for part in body.chunks(size) {
        let mut rest = part;
        loop {
            match chunked.next(&mut rest)? {
                Piece::Data(data) => content.extend_from_slice(data),
                Piece::More => break,
                Piece::End => return Ok((content, Some(body.len() - taken - (part.len() - rest.len())))),
            }
        }
        taken += part.len();
    }
    Ok((content, None))
}

/// What is said of a connection does not depend on where its bytes are cut. The first byte is the length of the pieces.
pub fn connection(bytes: &[u8]) {
    let (size, rest) = bytes.split_first().map_or((1, bytes), |(size, rest)| (usize::from(*size).max(1), rest));
    // An unfinished head is only looked at again when its end may have come.
    let text = [rest, b"\r\n\r\n"].concat();
    let whole = said(&text, usize::MAX);
    assert_eq!(said(&text, size), whole);
    assert_eq!(said(&text, 1), whole);
}

/// One line for each event, and the refusal if there is one.
fn said(text: &[u8], size: usize) -> (Vec<String>, Option<Refusal>) {
    let (mut connection, mut pending, mut said) = (Connection::new(Limits::default()), Vec::new(), Vec::new());
    let mut was_data = false;
    for piece in text.chunks(size) {
        pending.extend_from_slice(piece);
        let mut rest = &pending[..];
        loop {
            let data = match connection.next(&mut rest) {
                Err(refusal) => return (said, Some(refusal)),
                Ok(Event::More) => break,
                Ok(Event::End) => {
                    said.push("end".to_owned());
                    None
                }
                Ok(Event::Head(head)) => {
                    assert_is_one_message(&head);
                    said.push(format!("{head:?}"));
                    None
                }
                Ok(Event::Data(data)) => Some(data.escape_ascii().to_string()),
            };
            match (&data, said.last_mut().filter(|_| was_data)) {
                (Some(data), Some(last)) => last.push_str(data),
                (Some(data), None) => said.push(format!("data {data}")),
                (None, _) => {}
            }
            was_data = data.is_some();
        }
        let left = rest.len();
        pending.drain(..pending.len() - left);
    }
    (said, None)
}
