//! A request head: what it asks for, and what it says of its body and of the connection.
//!
//! `httparse` reads the syntax; what it lets pass and RFC 9112 does not is checked here.

use std::mem::MaybeUninit;
use std::ops::Range;

use memchr::memchr;
use smallvec::SmallVec;

use crate::limits::Limits;
use crate::refusal::Refusal;
use crate::target::Target;

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// This many bytes; 0 if the head says nothing.
    Length(u64),
    /// Each chunk says its length.
    Chunked,
}

/// Bytes of a header with a name of one byte and no value, and its line end.
const SHORTEST_HEADER: usize = b"a:\r\n".len();

/// As many headers as are kept without an allocation.
const USUAL_HEADERS: usize = 8;

/// A part of a head's bytes, by its first byte and the one behind its last.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Part {
    start: u32,
    end: u32,
}

impl Part {
    /// The part from `start` on; it is empty where offsets have no room, which is beyond every limit of a head.
    pub(crate) fn new(start: usize, length: usize) -> Self {
        let offset = |bytes| u32::try_from(bytes).unwrap_or(u32::MAX);
        Self { start: offset(start), end: offset(start + length) }
    }

    /// Where a part of these bytes is; none if it is no part of them.
    pub(crate) fn of(whole: &[u8], part: &[u8]) -> Option<Self> {
        let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
        (start + part.len() <= whole.len()).then(|| Self::new(start, part.len()))
    }

    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Name and value of each header.
pub(crate) type HeaderParts = SmallVec<[(Part, Part); USUAL_HEADERS]>;

/// One request head; texts are those of the buffer it was read from.
#[derive(Debug)]
pub struct Head<'a> {
    /// A token, as it was sent.
    pub method: &'a str,
    /// The path and the query.
    pub target: Target<'a>,
    /// The minor version: 0 or 1.
    pub minor_version: u8,
    pub(crate) headers: HeaderParts,
    /// How the body ends.
    pub framing: Framing,
    /// Whether the connection serves another request after this.
    pub is_persistent: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// The protocol that the connection is to be used for from now on, if the client asks for one; empty if its last
    /// `Connection` header does not.
    pub upgrade: Option<&'a [u8]>,
    /// All bytes of the head, with its empty line.
    pub bytes: &'a [u8],
}

/// Read a head from the beginning of `bytes`; `None` if its end has not arrived.
///
/// # Errors
/// [`Refusal`]: it is no head, is ambiguous, or is beyond a limit.
pub fn parse<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Option<Head<'a>>, Refusal> {
    const ON_STACK: usize = 64;
    let mut few = [const { MaybeUninit::uninit() }; ON_STACK];
    match parse_into(bytes, limits, few.get_mut(..limits.headers.min(ON_STACK)).unwrap_or_default()) {
        Err(Refusal::HeadTooLarge) if limits.headers > ON_STACK && bytes.len() <= limits.head => {
            // No more than so many lines can have arrived, and the beginning of another.
            let most = limits.headers.min(bytes.len() / SHORTEST_HEADER + 1);
            let mut many: Vec<_> = std::iter::repeat_with(MaybeUninit::uninit).take(most).collect();
            parse_into(bytes, limits, &mut many)
        }
        read => read,
    }
}

fn parse_into<'a>(
    bytes: &'a [u8],
    limits: &Limits,
    space: &mut [MaybeUninit<httparse::Header<'a>>],
) -> Result<Option<Head<'a>>, Refusal> {
    let mut request = httparse::Request::new(&mut []);
    let length = match request.parse_with_uninit_headers(bytes, space) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return too_long(bytes, limits).map_or(Ok(None), Err),
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::HeadTooLarge),
        Err(_) => return Err(too_long(bytes, limits).unwrap_or(Refusal::Invalid)),
    };
    let text = bytes.get(..length).unwrap_or_default();
    // Another server might end a line where only a line feed is, or not.
    if has_bare_line_feed(text) {
        return Err(Refusal::Invalid);
    }
    if let Some(refusal) = too_long(text, limits) {
        return Err(refusal);
    }
    let (Some(method), Some(target), Some(minor_version)) = (request.method, request.path, request.version) else {
        return Err(Refusal::Invalid);
    };
    let mut head = Head {
        method,
        target: Target::parse(target.as_bytes())?,
        minor_version,
        headers: HeaderParts::with_capacity(request.headers.len()),
        framing: Framing::Length(0),
        is_persistent: minor_version == 1,
        expects_continue: false,
        upgrade: None,
        bytes: text,
    };
    head.read(request.headers)?;
    Ok(Some(head))
}

/// Whether a line feed has no carriage return before it.
///
/// Without a way out of the loop, many bytes are looked at in one step.
#[expect(clippy::needless_bitwise_bool, reason = "a lazy operator is a branch for each byte")]
fn has_bare_line_feed(text: &[u8]) -> bool {
    let pairs = text.iter().zip(text.get(1..).unwrap_or_default());
    let is_bare = pairs.fold(false, |found, (before, byte)| found | ((*byte == b'\n') & (*before != b'\r')));
    is_bare || text.first() == Some(&b'\n')
}

/// The limit that a head, or the part of it that has arrived, is beyond.
fn too_long(bytes: &[u8], limits: &Limits) -> Option<Refusal> {
    if bytes.len() > limits.request_line {
        // Empty lines before the request line belong to nothing, and count.
        let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(0);
        let line = memchr(b'\n', bytes.get(start..).unwrap_or_default()).map_or(bytes.len(), |end| start + end + 1);
        if line > limits.request_line {
            return Some(Refusal::LineTooLong);
        }
    }
    (bytes.len() > limits.head).then_some(Refusal::HeadTooLarge)
}

impl<'a> Head<'a> {
    /// Names as they were sent, and values without the spaces around them.
    pub fn headers(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let bytes = self.bytes;
        let text = move |part: Part| bytes.get(part.range()).unwrap_or_default();
        self.headers.iter().map(move |(name, value)| (text(*name), text(*value)))
    }

    /// Take the headers, and what those mean that are about the message itself.
    fn read(&mut self, headers: &[httparse::Header<'a>]) -> Result<(), Refusal> {
        let (mut lengths, mut is_chunked, mut hosts) = (0, false, 0);
        let (mut upgrade, mut wants_upgrade, mut is_upgrade_last) = (None, false, false);
        for header in headers {
            let (name, value) = (header.name.as_bytes(), header.value);
            match name.len() {
                4 if name.eq_ignore_ascii_case(b"host") => hosts += 1,
                6 if name.eq_ignore_ascii_case(b"expect") => {
                    self.expects_continue |= value.eq_ignore_ascii_case(b"100-continue");
                }
                7 if name.eq_ignore_ascii_case(b"upgrade") => upgrade = Some(value).filter(|name| !name.is_empty()),
                // The second one is no header of HTTP's, but a client that sends it waits for the end of the connection.
                10 | 16
                    if name.eq_ignore_ascii_case(b"connection") || name.eq_ignore_ascii_case(b"proxy-connection") =>
                {
                    let mut says_upgrade = false;
                    for token in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                        if token.eq_ignore_ascii_case(b"close") {
                            self.is_persistent = false;
                        } else if token.eq_ignore_ascii_case(b"upgrade") {
                            says_upgrade = true;
                        }
                    }
                    wants_upgrade |= says_upgrade;
                    if name.len() == 10 {
                        is_upgrade_last = says_upgrade;
                    }
                }
                14 if name.eq_ignore_ascii_case(b"content-length") => {
                    lengths += 1;
                    self.framing = Framing::Length(content_length(value)?);
                }
                17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                    if is_chunked || self.minor_version == 0 {
                        return Err(Refusal::Invalid);
                    }
                    is_chunked = true;
                    check_coding(value)?;
                }
                _ => {}
            }
            let part = |text| Part::of(self.bytes, text).ok_or(Refusal::Invalid);
            self.headers.push((part(name)?, part(value)?));
        }
        // A second length, equal or not, is what a proxy in front may have read otherwise.
        if hosts > 1 || lengths + usize::from(is_chunked) > 1 {
            return Err(Refusal::Invalid);
        }
        if is_chunked {
            self.framing = Framing::Chunked;
        }
        // uvicorn asks the last `Connection` only.
        self.upgrade = upgrade.filter(|_| wants_upgrade).map(|name| if is_upgrade_last { name } else { b"" });
        Ok(())
    }
}

/// Digits, nothing else: no sign, no list, and no number that has no room.
fn content_length(value: &[u8]) -> Result<u64, Refusal> {
    if value.is_empty() {
        return Err(Refusal::Invalid);
    }
    value.iter().try_fold(0_u64, |number, byte| {
        let digit = char::from(*byte).to_digit(10).ok_or(Refusal::Invalid)?;
        number.checked_mul(10).and_then(|number| number.checked_add(digit.into())).ok_or(Refusal::Invalid)
    })
}

/// # Errors
/// [`Refusal::UnknownCoding`] for another coding before `chunked`; [`Refusal::Invalid`] if `chunked` is not the last.
fn check_coding(value: &[u8]) -> Result<(), Refusal> {
    let mut codings = value.rsplit(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    if !codings.next().is_some_and(|last| last.eq_ignore_ascii_case(b"chunked")) {
        return Err(Refusal::Invalid);
    }
    match codings.next() {
        None => Ok(()),
        Some(coding) if coding.is_empty() || coding.eq_ignore_ascii_case(b"chunked") => Err(Refusal::Invalid),
        Some(_) => Err(Refusal::UnknownCoding),
    }
}
