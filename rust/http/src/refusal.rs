//! Why a request is not taken: the connection is closed after the answer.

use std::fmt;

/// What is wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is not HTTP, or could be understood in two ways: 400.
    Invalid,
    /// The request line is too long: 414.
    LineTooLong,
    /// The head is too large, or has too many headers: 431.
    HeadTooLarge,
    /// The body is encoded in a way that is not known: 501.
    UnknownCoding,
}

impl Refusal {
    /// The status of the answer.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::LineTooLong => 414,
            Self::HeadTooLarge => 431,
            Self::UnknownCoding => 501,
        }
    }

    /// The text of the answer; for 400 it is uvicorn's.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Invalid => "Invalid HTTP request received.",
            Self::LineTooLong => "The request line is too long.",
            Self::HeadTooLarge => "The request head is too large.",
            Self::UnknownCoding => "The transfer coding is not known.",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text())
    }
}

impl std::error::Error for Refusal {}
