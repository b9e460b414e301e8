//! How much of a request is taken before it is refused.

/// Upper bounds for one request; all are settings of the server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the whole head, with its empty line.
    pub head: usize,
    /// Bytes of the request line.
    pub request_line: usize,
    /// The number of headers.
    pub headers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head: 64 * 1024, request_line: 32 * 1024, headers: 100 }
    }
}
