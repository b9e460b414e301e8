//! The body of a request as it arrives.

use crate::chunked::{Chunked, Piece};
use crate::head::Framing;
use crate::refusal::Refusal;

/// What of a body is still to come.
#[derive(Debug)]
pub enum Body {
    /// This many bytes.
    Length(u64),
    /// Chunks.
    Chunked(Chunked),
}

impl Body {
    /// The body that a head announces.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        match framing {
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Chunked::default()),
        }
    }

    /// Take the next piece from the beginning of `bytes`.
    ///
    /// # Errors
    /// [`Refusal::Invalid`]: chunks that are none.
    pub fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Result<Piece<'a>, Refusal> {
        match self {
            Self::Length(0) => Ok(Piece::End),
            Self::Length(_) if bytes.is_empty() => Ok(Piece::More),
            Self::Length(left) => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                let (data, behind) = bytes.split_at(length);
                *bytes = behind;
                *left -= length as u64;
                Ok(Piece::Data(data))
            }
            Self::Chunked(chunked) => chunked.next(bytes),
        }
    }
}
