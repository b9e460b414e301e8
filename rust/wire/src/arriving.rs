//! Whether a multipart body of which a piece has come may still be plainly well-formed, as `multipart` has it.
//!
//! Each byte is looked at once, whatever the pieces are; what is kept is a header line, or the start of a delimiter.
use memchr::memmem;

use crate::multipart::{LONGEST_HEADER, MOST_HEADERS, disposition, header};

/// What is read next.
#[derive(Clone, Copy, Debug)]
enum State {
    /// The delimiter that the body begins with.
    Opening,
    /// The two bytes behind a delimiter: a line end, or the hyphens of the last one.
    Behind,
    Headers,
    Content,
    /// Anything: it is looked at in the whole body.
    Epilogue,
}

/// A multipart body that arrives in pieces.
#[derive(Debug)]
pub struct Arriving {
    state: State,
    delimiter: Box<[u8]>,
    finder: memmem::Finder<'static>,
    /// What has come of the delimiter, of the two bytes behind it, or of a header line; the last bytes of a content.
    held: Vec<u8>,
    /// Whether `held` is a header line, up to its colon at least.
    has_colon: bool,
    headers: usize,
    is_named: bool,
    parts: usize,
    most_parts: usize,
}

impl Arriving {
    /// A body of which nothing has come.
    #[must_use]
    pub fn new(boundary: &[u8], most_parts: usize) -> Self {
        let delimiter = [b"\r\n--", boundary].concat();
        Self {
            state: State::Opening,
            finder: memmem::Finder::new(&delimiter).into_owned(),
            delimiter: delimiter.into(),
            held: Vec::new(),
            has_colon: false,
            headers: 0,
            is_named: false,
            parts: 0,
            most_parts,
        }
    }

    /// Takes the next piece; says whether the body may still be plainly well-formed, with no more than the most parts.
    pub fn take(&mut self, piece: &[u8]) -> bool {
        let mut rest = piece;
        while let Some(first) = rest.first() {
            let taken = match self.state {
                State::Opening => self.take_opening(*first),
                State::Behind => self.take_behind(*first),
                State::Headers => self.take_header(*first),
                State::Content => Some(self.take_content(rest)),
                State::Epilogue => return true,
            };
            match taken.and_then(|taken| rest.get(taken..)) {
                Some(after) => rest = after,
                None => return false,
            }
        }
        true
    }

    fn take_opening(&mut self, byte: u8) -> Option<usize> {
        self.held.push(byte);
        let opening = self.delimiter.get(2..)?;
        if !opening.starts_with(&self.held) {
            return None;
        }
        if self.held.len() == opening.len() {
            self.enter(State::Behind);
        }
        Some(1)
    }

    fn take_behind(&mut self, byte: u8) -> Option<usize> {
        self.held.push(byte);
        match self.held.as_slice() {
            b"\r" | b"-" => {}
            b"\r\n" => {
                (self.headers, self.is_named) = (0, false);
                self.enter(State::Headers);
            }
            b"--" if self.parts > 0 => self.enter(State::Epilogue),
            _ => return None,
        }
        Some(1)
    }

    fn take_header(&mut self, byte: u8) -> Option<usize> {
        match (self.held.last(), byte) {
            (Some(b'\r'), b'\n') => self.end_line()?,
            (Some(b'\r'), _) => return None,
            (_, b'\r') => self.held.push(byte),
            _ => {
                let is_name = byte.is_ascii_alphanumeric() || byte == b'-';
                self.has_colon |= byte == b':' && !self.held.is_empty();
                let is_value = self.has_colon && (!byte.is_ascii_control() || byte == b'\t');
                let is_plain = is_name || is_value;
                let is_one_too_many = self.headers == MOST_HEADERS;
                if !is_plain || is_one_too_many || self.held.len() == LONGEST_HEADER {
                    return None;
                }
                self.held.push(byte);
            }
        }
        Some(1)
    }

    /// A header has come whole, or the empty line behind the headers.
    fn end_line(&mut self) -> Option<()> {
        self.held.pop();
        if self.held.is_empty() {
            self.parts += 1;
            self.enter(State::Content);
            return (self.is_named && self.parts <= self.most_parts).then_some(());
        }
        let (name, value) = header(&self.held)?;
        if name.eq_ignore_ascii_case(b"content-disposition") {
            if self.is_named {
                return None;
            }
            disposition(value)?;
            self.is_named = true;
        }
        self.headers += 1;
        self.enter(State::Headers);
        Some(())
    }

    /// Takes what is up to the next delimiter, and it; or all.
    fn take_content(&mut self, rest: &[u8]) -> usize {
        let (before, length) = (self.held.len(), self.delimiter.len());
        let most_held = length - 1;
        self.held.extend_from_slice(rest.get(..most_held).unwrap_or(rest));
        let end = match self.finder.find(&self.held) {
            Some(start) => Some((start + length).saturating_sub(before)),
            None => self.finder.find(rest).map(|start| start + length),
        };
        if let Some(end) = end {
            self.enter(State::Behind);
            return end;
        }
        if rest.len() > most_held {
            self.held.clear();
            self.held.extend_from_slice(rest);
        }
        let dropped = self.held.len().saturating_sub(most_held);
        self.held.drain(..dropped);
        rest.len()
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.held.clear();
        self.has_colon = false;
    }
}

#[cfg(test)]
mod tests {
    use super::Arriving;

    const PLAIN: &[u8] =
        b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\nX: y:z \t\r\n\r\n1\r\n--\r\n-\r\n--x\r\n\
        Content-Disposition: form-data; name=\"f\"; filename=\"g\"\r\n\r\n\r\n--x--\r\n";

    fn taken(body: &[u8], size: usize) -> Option<usize> {
        let mut arriving = Arriving::new(b"x", 2);
        body.chunks(size).position(|piece| !arriving.take(piece))
    }

    #[test]
    fn plain_bodies_may_be_plain_to_the_end_in_pieces_of_any_size() {
        for size in 1..=PLAIN.len() {
            assert_eq!(taken(PLAIN, size), None, "{size}");
        }
    }

    #[test]
    fn what_is_not_plain_is_known_at_its_first_byte() {
        let start = b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n";
        let table: [(&[u8], usize); 13] = [
            (b"\r\n--x\r\n", 0),
            (b"--y\r\n", 2),
            (b"--x--", 4),
            (b"--x \r\n", 3),
            (b"--x\n", 3),
            (b"--x\r\nA B: c\r\n", 6),
            (b"--x\r\n: c\r\n", 5),
            (b"--x\r\nA: \n", 8),
            (b"--x\r\nA: b\rc", 10),
            (b"--x\r\nAb\r\n", 8),
            (b"--x\r\nA: b\r\n\r\n1\r\n--x--", 12),
            (b"--x\r\nContent-Disposition: form-data\r\n", 36),
            (&[start.as_slice(), start.get(5..).unwrap()].concat(), 88),
        ];
        for (body, place) in table {
            assert_eq!(taken(body, 1), Some(place), "{}", body.escape_ascii());
        }
    }

    #[test]
    fn too_many_parts_and_headers_are_none_that_may_be_plain() {
        let part = b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n";
        assert_eq!(taken(&part.repeat(2), 1), None);
        assert_eq!(taken(&part.repeat(3), part.len()), Some(2));
        assert_eq!(taken(&[b"--x\r\n".as_slice(), &b"A: b\r\n".repeat(8)].concat(), 1), None);
        assert_eq!(taken(&[b"--x\r\n".as_slice(), &b"A: b\r\n".repeat(9)].concat(), 1), Some(53));
        assert_eq!(taken(&[b"--x\r\nA:".as_slice(), &b"b".repeat(4096)].concat(), 1), Some(4101));
    }
}
