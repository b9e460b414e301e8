//! One request after the other: heads and bodies, in the order of their bytes.

use memchr::memmem;

use crate::body::Body;
use crate::chunked::Piece;
use crate::head::{self, Head};
use crate::limits::Limits;
use crate::refusal::Refusal;

const HEAD_END: &[u8] = b"\r\n\r\n";

/// What the next bytes are.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "it is taken apart where it is returned; a box is an allocation a request"
)]
pub enum Event<'a> {
    /// A request begins.
    Head(Head<'a>),
    /// A part of its body.
    Data(&'a [u8]),
    /// Its body is over; the next bytes are those of another request.
    End,
    /// Nothing more can be said before more bytes have arrived; those left over must be there again, before them.
    More,
}

/// The reading half of a connection.
#[derive(Debug)]
pub struct Connection {
    limits: Limits,
    body: Option<Body>,
    /// Bytes of an unfinished head that were looked through for its end, and those that were parsed.
    searched: usize,
    parsed: usize,
}

impl Connection {
    /// A connection of which nothing has been read.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, body: None, searched: 0, parsed: 0 }
    }

    /// Whether the next bytes are those of a new request.
    #[must_use]
    pub fn is_between_requests(&self) -> bool {
        self.body.is_none()
    }

    /// Take what is next from the beginning of `bytes`.
    ///
    /// # Errors
    /// [`Refusal`]: nothing on this connection can be understood any more.
    pub fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Result<Event<'a>, Refusal> {
        let Some(body) = &mut self.body else { return self.head(bytes) };
        Ok(match body.next(bytes)? {
            Piece::Data(data) => Event::Data(data),
            Piece::More => Event::More,
            Piece::End => {
                self.body = None;
                Event::End
            }
        })
    }

    fn head<'a>(&mut self, bytes: &mut &'a [u8]) -> Result<Event<'a>, Refusal> {
        if bytes.is_empty() || !self.is_worth_parsing(bytes) {
            return Ok(Event::More);
        }
        let Some(head) = head::parse(bytes, &self.limits)? else {
            self.searched = bytes.len();
            self.parsed = bytes.len();
            return Ok(Event::More);
        };
        self.searched = 0;
        self.parsed = 0;
        *bytes = bytes.get(head.bytes.len()..).unwrap_or_default();
        self.body = Some(Body::new(head.framing));
        Ok(Event::Head(head))
    }

    /// Whether a head that was unfinished may have its end now, or has doubled: so a slow sender costs no square.
    fn is_worth_parsing(&mut self, bytes: &[u8]) -> bool {
        if self.searched == 0 || bytes.len() >= self.parsed * 2 {
            return true;
        }
        let from = self.searched.saturating_sub(HEAD_END.len() - 1);
        self.searched = bytes.len();
        bytes.len() > self.limits.head || memmem::find(bytes.get(from..).unwrap_or_default(), HEAD_END).is_some()
    }
}
