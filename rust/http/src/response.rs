//! The head of an answer, and the framing of its body.
//!
//! Source: uvicorn's `HttpToolsProtocol` for what is written and what is refused; RFC 9112, section 6.

use std::fmt;

/// What the answer depends on beside itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestFacts {
    /// The answer to HEAD has no body.
    pub is_head: bool,
    /// The minor version of the request: 0 knows no chunks.
    pub minor_version: u8,
    /// Whether the connection may serve another request.
    pub is_persistent: bool,
}

/// A header that must not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// The name has a byte that no name has.
    Name,
    /// The value has a control byte, or is the length of a body and no number.
    Value,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Name => "Invalid HTTP header name.",
            Self::Value => "Invalid HTTP header value.",
        })
    }
}

impl std::error::Error for HeaderError {}

/// The body is not as long as the head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LengthError {
    /// It has more bytes.
    Longer,
    /// It is over, and bytes are missing.
    Shorter,
}

impl fmt::Display for LengthError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Longer => "Response content longer than Content-Length",
            Self::Shorter => "Response content shorter than Content-Length",
        })
    }
}

impl std::error::Error for LengthError {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Chunked,
    /// The end of the connection ends the body.
    UntilClosed,
    /// Nothing is written of it.
    Nothing,
}

/// A head that is being written; nothing of it stays in the buffer unless it is finished.
#[derive(Debug)]
pub struct ResponseHead<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
    /// Bytes of the status line.
    line: usize,
    framing: Option<Framing>,
    says_close: bool,
    is_finished: bool,
}

impl<'o> ResponseHead<'o> {
    /// Begin with a status line, which has its line end.
    pub fn new(out: &'o mut Vec<u8>, status_line: &[u8]) -> Self {
        let start = out.len();
        out.extend_from_slice(status_line);
        Self { out, start, line: status_line.len(), framing: None, says_close: false, is_finished: false }
    }

    /// Write header lines that are known to be right and say nothing of the body or the connection.
    pub fn lines(&mut self, lines: &[u8]) {
        self.out.extend_from_slice(lines);
    }

    /// The header lines so far, if none of them says anything of the body or the connection.
    #[must_use]
    pub fn plain_lines(&self) -> Option<&[u8]> {
        let is_plain = self.framing.is_none() && !self.says_close;
        self.out.get(self.start + self.line..).filter(|_| is_plain)
    }

    /// Say how long the body is.
    pub fn length(&mut self, bytes: usize) {
        self.framing = Some(Framing::Length(bytes as u64));
        self.out.extend_from_slice(b"content-length: ");
        self.out.extend_from_slice(itoa::Buffer::new().format(bytes).as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    /// Write one header, its name in lower case.
    ///
    /// # Errors
    /// [`HeaderError`]: a byte that would end the line, or could be read in two ways.
    pub fn header(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeaderError> {
        let start = self.out.len();
        let lower = |byte: &u8| NAME_BYTES.get(usize::from(*byte)).copied().unwrap_or_default();
        self.out.extend(name.iter().map(lower));
        if self.out.get(start..).unwrap_or_default().contains(&0) {
            return Err(HeaderError::Name);
        }
        // Without a way out of the loop, many bytes are looked at in one step.
        let is_wrong = |byte: u8| byte.is_ascii_control() && byte != b'\t';
        if value.iter().fold(false, |found, byte| found | is_wrong(*byte)) {
            return Err(HeaderError::Value);
        }
        match self.out.get(start..).unwrap_or_default() {
            b"content-length" if self.framing.is_none() => self.framing = Some(Framing::Length(number(value)?)),
            b"transfer-encoding" if value.eq_ignore_ascii_case(b"chunked") => self.framing = Some(Framing::Chunked),
            b"connection" => {
                let mut tokens = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
                self.says_close |= tokens.any(|token| token.eq_ignore_ascii_case(b"close"));
            }
            _ => {}
        }
        self.out.extend_from_slice(b": ");
        self.out.extend_from_slice(value);
        self.out.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// End the head with what it does not say yet of the connection and of the body.
    #[must_use]
    pub fn finish(mut self, status: u16, request: RequestFacts) -> ResponseBody {
        let has_no_body = matches!(status, 204 | 304);
        let mut is_persistent = request.is_persistent && !self.says_close;
        let framing = match self.framing {
            _ if request.is_head => Framing::Nothing,
            Some(Framing::Chunked) if has_no_body => Framing::Nothing,
            Some(framing) => framing,
            None if has_no_body => Framing::Length(0),
            None if request.minor_version == 0 => {
                is_persistent = false;
                Framing::UntilClosed
            }
            None => Framing::Chunked,
        };
        if !is_persistent && !self.says_close {
            self.out.extend_from_slice(b"connection: close\r\n");
        }
        if framing == Framing::Chunked && self.framing.is_none() {
            self.out.extend_from_slice(b"transfer-encoding: chunked\r\n");
        }
        self.out.extend_from_slice(b"\r\n");
        self.is_finished = true;
        ResponseBody { framing, is_persistent }
    }
}

impl Drop for ResponseHead<'_> {
    fn drop(&mut self) {
        if !self.is_finished {
            self.out.truncate(self.start);
        }
    }
}

/// The body of a response whose head is written.
#[derive(Debug)]
pub struct ResponseBody {
    framing: Framing,
    is_persistent: bool,
}

impl ResponseBody {
    /// Whether the connection stays open after it.
    #[must_use]
    pub fn is_persistent(&self) -> bool {
        self.is_persistent
    }

    /// Whether nothing of it is written.
    #[must_use]
    pub fn is_ignored(&self) -> bool {
        self.framing == Framing::Nothing
    }

    /// Whether the head says how long it is.
    #[must_use]
    pub fn is_counted(&self) -> bool {
        matches!(self.framing, Framing::Length(_))
    }

    /// Write a part of the body, and its end after the last one.
    ///
    /// # Errors
    /// [`LengthError`]: nothing of a part that is too long is written.
    pub fn write(&mut self, out: &mut Vec<u8>, part: &[u8], is_last: bool) -> Result<(), LengthError> {
        match &mut self.framing {
            Framing::Nothing => {}
            Framing::UntilClosed => out.extend_from_slice(part),
            Framing::Chunked => {
                if !part.is_empty() {
                    write_size(out, part.len());
                    out.extend_from_slice(part);
                    out.extend_from_slice(b"\r\n");
                }
                if is_last {
                    out.extend_from_slice(b"0\r\n\r\n");
                }
            }
            Framing::Length(left) => {
                *left = left.checked_sub(part.len() as u64).ok_or(LengthError::Longer)?;
                out.extend_from_slice(part);
                if is_last && *left != 0 {
                    return Err(LengthError::Shorter);
                }
            }
        }
        Ok(())
    }
}

fn write_size(out: &mut Vec<u8>, size: usize) {
    let digits = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        let digit = (size >> (place * 4)) & 0xf;
        out.push(b"0123456789abcdef".get(digit).copied().unwrap_or(b'0'));
    }
    out.extend_from_slice(b"\r\n");
}

fn number(value: &[u8]) -> Result<u64, HeaderError> {
    let text = std::str::from_utf8(value.trim_ascii()).map_err(|_| HeaderError::Value)?;
    if text.starts_with('+') { Err(HeaderError::Value) } else { text.parse().map_err(|_| HeaderError::Value) }
}

/// What a byte of a header name is written as; 0 for those that uvicorn refuses.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
static NAME_BYTES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    loop {
        table[byte as usize] = match byte {
            0..=b' '
            | 0x7f
            | b'('
            | b')'
            | b'<'
            | b'>'
            | b'@'
            | b','
            | b';'
            | b':'
            | b'\\'
            | b'['
            | b']'
            | b'='
            | b'{'
            | b'}'
            | b'"' => 0,
            _ => byte.to_ascii_lowercase(),
        };
        if byte == u8::MAX {
            break table;
        }
        byte += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::{HeaderError, LengthError, RequestFacts, ResponseBody, ResponseHead};

    const USUAL: RequestFacts = RequestFacts { is_head: false, minor_version: 1, is_persistent: true };

    fn head(status: u16, request: RequestFacts, headers: &[(&[u8], &[u8])]) -> (Vec<u8>, ResponseBody) {
        let mut out = Vec::new();
        let mut head = ResponseHead::new(&mut out, b"HTTP/1.1 200 OK\r\n");
        for (name, value) in headers {
            assert_eq!(head.header(name, value), Ok(()));
        }
        let answer = head.finish(status, request);
        (out, answer)
    }

    type Case<'a> = (u16, RequestFacts, &'a [(&'a [u8], &'a [u8])], &'a [u8], &'a [u8]);

    #[test]
    fn head_says_how_the_body_ends() {
        let length: &[(&[u8], &[u8])] = &[(b"Content-Length", b"5")];
        let chunked: &[(&[u8], &[u8])] = &[(b"transfer-encoding", b"Chunked")];
        let (head_request, old) =
            (RequestFacts { is_head: true, ..USUAL }, RequestFacts { minor_version: 0, is_persistent: false, ..USUAL });
        let cases: [Case<'_>; 9] = [
            (200, USUAL, &[], b"transfer-encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
            (200, USUAL, length, b"content-length: 5\r\n", b"hello"),
            (200, USUAL, chunked, b"transfer-encoding: Chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
            (200, head_request, &[], b"", b""),
            (200, head_request, length, b"content-length: 5\r\n", b""),
            (200, old, &[], b"connection: close\r\n", b"hello"),
            (200, old, length, b"content-length: 5\r\nconnection: close\r\n", b"hello"),
            (304, USUAL, chunked, b"transfer-encoding: Chunked\r\n", b""),
            (
                200,
                RequestFacts { is_persistent: false, ..USUAL },
                length,
                b"content-length: 5\r\nconnection: close\r\n",
                b"hello",
            ),
        ];
        for (status, request, headers, lines, body) in cases {
            let (out, mut answer) = head(status, request, headers);
            assert_eq!(out, [b"HTTP/1.1 200 OK\r\n", lines, b"\r\n"].concat());
            let mut out = Vec::new();
            assert_eq!(answer.write(&mut out, b"hello", true), Ok(()));
            assert_eq!(out.escape_ascii().to_string(), body.escape_ascii().to_string());
        }
        assert_eq!(head(204, USUAL, &[]).0, b"HTTP/1.1 200 OK\r\n\r\n");
    }

    #[test]
    fn body_is_as_long_as_the_head_says() {
        let mut out = Vec::new();
        let (_, mut answer) = head(200, USUAL, &[(b"content-length", b"5")]);
        assert_eq!(answer.write(&mut out, b"hel", false), Ok(()));
        assert_eq!(answer.write(&mut out, b"lo!", false), Err(LengthError::Longer));
        let (_, mut answer) = head(200, USUAL, &[(b"content-length", b"5")]);
        assert_eq!(answer.write(&mut out, b"hel", true), Err(LengthError::Shorter));
        let (_, mut answer) = head(204, USUAL, &[]);
        assert_eq!(answer.write(&mut out, b"a", true), Err(LengthError::Longer));
    }

    #[test]
    fn header_that_could_end_its_line_leaves_nothing() {
        for (name, value, error) in [
            (&b"bad header"[..], &b"a"[..], HeaderError::Name),
            (b"bad\nheader", b"a", HeaderError::Name),
            (b"a", b"b\r\nc: d", HeaderError::Value),
            (b"a", b"\x00", HeaderError::Value),
            (b"content-length", b"+5", HeaderError::Value),
            (b"content-length", b"five", HeaderError::Value),
        ] {
            let mut out = b"before".to_vec();
            let mut head = ResponseHead::new(&mut out, b"HTTP/1.1 200 OK\r\n");
            assert_eq!(head.header(name, value), Err(error));
            drop(head);
            assert_eq!(out, b"before");
        }
    }

    #[test]
    fn connection_is_closed_when_a_header_says_so() {
        let (out, answer) = head(200, USUAL, &[(b"connection", b"x, Close"), (b"content-length", b"0")]);
        assert!(!answer.is_persistent());
        assert_eq!(out, b"HTTP/1.1 200 OK\r\nconnection: x, Close\r\ncontent-length: 0\r\n\r\n");
    }

    #[test]
    fn chunk_sizes_are_hexadecimal() {
        for size in [1_usize, 9, 10, 15, 16, 255, 256, 4095, 65536] {
            let mut out = Vec::new();
            let (_, mut answer) = head(200, USUAL, &[]);
            assert_eq!(answer.write(&mut out, &vec![b'x'; size], false), Ok(()));
            assert!(out.starts_with(format!("{size:x}\r\n").as_bytes()), "{size}");
        }
    }
}
