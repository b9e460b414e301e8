//! A request head that outlives the buffer it was read from.

use crate::head::{Head, HeaderParts, Part};
use crate::response::RequestFacts;

/// The largest memory that is kept for another head, in bytes.
const MOST_SPACE: usize = 4096;

/// A request head in memory of its own; the names of its headers are in lower case.
#[derive(Debug, Default)]
pub struct RequestHead {
    /// The bytes of the head, and behind them what it means without saying it.
    text: Vec<u8>,
    method: Part,
    path: Part,
    query: Part,
    headers: HeaderParts,
    /// What the answer depends on.
    pub facts: RequestFacts,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
}

impl RequestHead {
    /// Copy a head.
    #[must_use]
    pub fn new(head: Head<'_>) -> Self {
        let mut copy = Self::default();
        copy.fill(head);
        copy
    }

    /// Copy another head into the memory of this one: all of its bytes at once, which costs less than one part after the other.
    #[inline]
    pub fn fill(&mut self, head: Head<'_>) {
        if self.text.capacity() > MOST_SPACE {
            self.text = Vec::new();
        }
        let text = &mut self.text;
        text.clear();
        text.extend_from_slice(head.bytes);
        let mut place = |part: &[u8]| {
            Part::of(head.bytes, part).unwrap_or_else(|| {
                // The path of `http://host` is none of the bytes that were sent.
                let start = text.len();
                text.extend_from_slice(part);
                Part::new(start, part.len())
            })
        };
        self.method = place(head.method.as_bytes());
        self.path = place(head.target.path);
        self.query = place(head.target.query);
        for (name, _) in &head.headers {
            text.get_mut(name.range()).unwrap_or_default().make_ascii_lowercase();
        }
        self.headers = head.headers;
        self.facts = RequestFacts {
            is_head: head.method == "HEAD",
            minor_version: head.minor_version,
            is_persistent: head.is_persistent,
        };
        self.expects_continue = head.expects_continue;
    }

    fn part(&self, part: Part) -> &[u8] {
        self.text.get(part.range()).unwrap_or_default()
    }

    /// The method, as it was sent: a token.
    #[must_use]
    pub fn method(&self) -> &[u8] {
        self.part(self.method)
    }

    /// The path, percent-encoded.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        self.part(self.path)
    }

    /// What is behind the question mark.
    #[must_use]
    pub fn query(&self) -> &[u8] {
        self.part(self.query)
    }

    /// Names and values, in the order in which they were sent.
    pub fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.headers.iter().map(|(name, value)| (self.part(*name), self.part(*value)))
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
        let copy = RequestHead::new(head);
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
