//! The chunked transfer coding, one byte or a megabyte at a time.
//!
//! Source: RFC 9112, section 7.1. Extensions are skipped and trailers are dropped, both within a bound for the whole body.

use crate::refusal::Refusal;

/// Bytes of extensions and trailers in one body.
const LARGEST_OVERHEAD: usize = 16 * 1024;

/// Hexadecimal digits of a chunk's size, leading zeros among them.
const MOST_DIGITS: u8 = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Extension,
    SizeEnd,
    Data,
    DataReturn,
    DataEnd,
    TrailerStart,
    TrailerName,
    Trailer,
    TrailerEnd,
    LastEnd,
}

/// Where the body stands.
#[derive(Debug)]
pub struct Chunked {
    state: State,
    /// What is left of the chunk; while its size is read, the size so far.
    left: u64,
    digits: u8,
    overhead: usize,
}

/// What the next bytes of a body are.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A part of the content, never empty.
    Data(&'a [u8]),
    /// All that has arrived is read.
    More,
    /// The body is over.
    End,
}

impl Default for Chunked {
    fn default() -> Self {
        Self { state: State::Size, left: 0, digits: 0, overhead: 0 }
    }
}

impl Chunked {
    /// Take the next piece from the beginning of `bytes`.
    ///
    /// # Errors
    /// [`Refusal::Invalid`]: the bytes are no chunks, a size has no room, or extensions and trailers are beyond the bound.
    pub fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Result<Piece<'a>, Refusal> {
        while let Some((&byte, rest)) = bytes.split_first() {
            if self.state == State::Data {
                let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
                let (data, behind) = bytes.split_at(length);
                *bytes = behind;
                self.left -= length as u64;
                if self.left == 0 {
                    self.state = State::DataReturn;
                }
                return Ok(Piece::Data(data));
            }
            *bytes = rest;
            if self.step(byte)? {
                return Ok(Piece::End);
            }
        }
        Ok(Piece::More)
    }

    /// Take one byte of the framing; tell whether it was the last one of the body.
    fn step(&mut self, byte: u8) -> Result<bool, Refusal> {
        self.state = match (self.state, byte) {
            (State::Size, b'\r') if self.digits > 0 => State::SizeEnd,
            (State::Size, b';') if self.digits > 0 => State::Extension,
            (State::Size, _) => {
                let digit = char::from(byte).to_digit(16).ok_or(Refusal::Invalid)?;
                self.digits += 1;
                if self.digits > MOST_DIGITS {
                    return Err(Refusal::Invalid);
                }
                self.left = self.left << 4 | u64::from(digit);
                State::Size
            }
            (State::Extension, b'\r') => State::SizeEnd,
            (State::Extension, _) => self.skip(byte, State::Extension)?,
            (State::SizeEnd, b'\n') => {
                self.digits = 0;
                if self.left == 0 { State::TrailerStart } else { State::Data }
            }
            (State::DataReturn, b'\r') => State::DataEnd,
            (State::DataEnd, b'\n') => State::Size,
            (State::TrailerStart, b'\r') => State::LastEnd,
            (State::TrailerName, b':') => self.skip(byte, State::Trailer)?,
            // Neither a line that goes on from the one before, nor one that is no header.
            (State::TrailerStart | State::TrailerName, _) if is_token(byte) => self.skip(byte, State::TrailerName)?,
            (State::Trailer, b'\r') => State::TrailerEnd,
            (State::Trailer, _) => self.skip(byte, State::Trailer)?,
            (State::TrailerEnd, b'\n') => State::TrailerStart,
            (State::LastEnd, b'\n') => return Ok(true),
            _ => return Err(Refusal::Invalid),
        };
        Ok(false)
    }

    fn skip(&mut self, byte: u8, state: State) -> Result<State, Refusal> {
        self.overhead += 1;
        let is_control = (byte < b' ' && byte != b'\t') || byte == 0x7f;
        if is_control || self.overhead > LARGEST_OVERHEAD { Err(Refusal::Invalid) } else { Ok(state) }
    }
}

/// Whether a name may have this byte. Source: RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::{Chunked, Piece};
    use crate::refusal::Refusal;

    /// The content of a whole body that arrives in pieces of `size` bytes, and what is left behind it.
    fn decode(body: &[u8], size: usize) -> Result<(Vec<u8>, usize), Refusal> {
        let (mut chunked, mut content, mut taken) = (Chunked::default(), Vec::new(), 0);
        for part in body.chunks(size) {
            let mut rest = part;
            loop {
                match chunked.next(&mut rest)? {
                    Piece::Data(data) => content.extend_from_slice(data),
                    Piece::More => break,
                    Piece::End => return Ok((content, body.len() - taken - (part.len() - rest.len()))),
                }
            }
            taken += part.len();
        }
        Err(Refusal::HeadTooLarge)
    }

    #[test]
    fn chunks_are_read_wherever_they_are_cut() {
        let table: [(&[u8], &[u8], usize); 7] = [
            (b"0\r\n\r\n", b"", 0),
            (b"5\r\nhello\r\n0\r\n\r\n", b"hello", 0),
            (b"5;a=b;c\r\nhello\r\n00A\r\n, world...\r\n0;x\r\n\r\nGET", b"hello, world...", 3),
            (b"1\r\na\r\n0\r\nTrailer: x\r\nB: y\r\n\r\n", b"a", 0),
            (b"0\r\n!x~1:\xe9\tb\r\nc:\r\n\r\n", b"", 0),
            (b"0000000000000002\r\n\r\n\r\n0\r\n\r\n", b"\r\n", 0),
            (b"0\r\n\r\n\r\n", b"", 2),
        ];
        for (body, content, behind) in table {
            for size in 1..=body.len() {
                assert_eq!(decode(body, size), Ok((content.to_vec(), behind)), "{} by {size}", body.escape_ascii());
            }
        }
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        let table: [&[u8]; 23] = [
            b"\r\n",
            b"g\r\n",
            b"-1\r\n",
            b"+1\r\na\r\n",
            b"0x1\r\na\r\n",
            b" 1\r\na\r\n",
            b"1 \r\na\r\n",
            b"1\na\r\n",
            b"1\r\nab\r\n",
            b"1\r\na\n",
            b"1\r\na\rx",
            b"1;a\nb\r\n",
            b"1;a\x00\r\n",
            b"00000000000000001\r\n",
            b"0\r\n\n",
            b"0\r\n a: b\r\n\r\n",
            b"0\r\na: b\n\r\n",
            b";a\r\n",
            b"0\r\n:b\r\n\r\n",
            b"0\r\na\r\n\r\n",
            b"0\r\na : b\r\n\r\n",
            b"0\r\na b: c\r\n\r\n",
            b"0\r\n\xe9: b\r\n\r\n",
        ];
        for body in table {
            for size in 1..=body.len() {
                assert_eq!(decode(body, size), Err(Refusal::Invalid), "{}", body.escape_ascii());
            }
        }
    }

    #[test]
    fn extensions_and_trailers_are_bounded_over_the_whole_body() {
        let extension = [&b"1;"[..], &[b'x'; 900], b"\r\na\r\n"].concat();
        assert_eq!(decode(&extension.repeat(20), 700), Err(Refusal::Invalid));
        let trailers = [&b"0\r\n"[..], &b"a: b\r\n".repeat(5000), b"\r\n"].concat();
        assert_eq!(decode(&trailers, 700), Err(Refusal::Invalid));
    }
}
