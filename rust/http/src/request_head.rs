//! A request head that outlives the buffer it was read from.

use smallvec::SmallVec;

use crate::head::Head;
use crate::response::RequestFacts;

/// As many headers as are kept without an allocation.
const USUAL_HEADERS: usize = 8;

/// A request head in memory of its own; the names of its headers are in lower case.
#[derive(Debug)]
pub struct RequestHead {
    /// Method, path, query, and the headers' names and values, one behind the other.
    text: Vec<u8>,
    method_end: usize,
    path_end: usize,
    query_end: usize,
    /// Where each header's name and value end.
    header_ends: SmallVec<[(usize, usize); USUAL_HEADERS]>,
    /// What the answer depends on.
    pub facts: RequestFacts,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
}

impl RequestHead {
    /// Copy a head.
    #[must_use]
    pub fn new(head: &Head<'_>) -> Self {
        let mut text = Vec::with_capacity(head.length);
        let mut keep = |part: &[u8]| {
            text.extend_from_slice(part);
            text.len()
        };
        let (method_end, path_end) = (keep(head.method.as_bytes()), keep(head.target.path));
        let query_end = keep(head.target.query);
        let mut header_ends = SmallVec::with_capacity(head.headers.len());
        for (name, value) in &head.headers {
            let name_start = text.len();
            text.extend_from_slice(name);
            let name_end = text.len();
            text.get_mut(name_start..).unwrap_or_default().make_ascii_lowercase();
            text.extend_from_slice(value);
            header_ends.push((name_end, text.len()));
        }
        let facts = RequestFacts {
            is_head: head.method == "HEAD",
            minor_version: head.minor_version,
            is_persistent: head.is_persistent,
        };
        Self { text, method_end, path_end, query_end, header_ends, facts, expects_continue: head.expects_continue }
    }

    fn part(&self, start: usize, end: usize) -> &[u8] {
        self.text.get(start..end).unwrap_or_default()
    }

    /// The method, as it was sent: a token.
    #[must_use]
    pub fn method(&self) -> &[u8] {
        self.part(0, self.method_end)
    }

    /// The path, percent-encoded.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        self.part(self.method_end, self.path_end)
    }

    /// What is behind the question mark.
    #[must_use]
    pub fn query(&self) -> &[u8] {
        self.part(self.path_end, self.query_end)
    }

    /// Names and values, in the order in which they were sent.
    pub fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut start = self.query_end;
        self.header_ends.iter().map(move |(name_end, value_end)| {
            let pair = (self.part(start, *name_end), self.part(*name_end, *value_end));
            start = *value_end;
            pair
        })
    }

    /// The first header of a name in lower case.
    #[must_use]
    pub fn header(&self, wanted: &[u8]) -> Option<&[u8]> {
        self.headers().find_map(|(name, value)| (name == wanted).then_some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::RequestHead;
    use crate::head;
    use crate::limits::Limits;

    #[test]
    fn request_head_has_what_the_head_has() {
        let text = b"HEAD http://host?a=b HTTP/1.1\r\nHost: host\r\nX-A: 1\r\nx-a:\r\nExpect: 100-continue\r\n\r\n";
        let Ok(Some(head)) = head::parse(text, &Limits::default()) else { panic!("it is a head") };
        let copy = RequestHead::new(&head);
        assert_eq!((copy.method(), copy.path(), copy.query()), (&b"HEAD"[..], &b"/"[..], &b"a=b"[..]));
        let headers: Vec<_> = copy.headers().collect();
        let expected: [(&[u8], &[u8]); 4] =
            [(b"host", b"host"), (b"x-a", b"1"), (b"x-a", b""), (b"expect", b"100-continue")];
        assert_eq!(headers, expected);
        assert_eq!(copy.headers().count(), 4);
        assert_eq!((copy.header(b"x-a"), copy.header(b"x-b")), (Some(&b"1"[..]), None));
        assert!(copy.facts.is_head && copy.facts.is_persistent && copy.expects_continue);
        assert_eq!(copy.facts.minor_version, 1);
    }
}
