//! An HTTP/1.1 connection as a state machine, without Python, without `unsafe` and without I/O.
//!
//! | module | what |
//! |---|---|
//! | [`limits`], [`refusal`] | how much of a request is taken, and what is answered in its place |
//! | [`target`], [`head`], [`request_head`] | the request line and the headers, and what they say of the body and the connection |
//! | [`chunked`], [`body`] | the body, as the pieces that have arrived |
//! | [`connection`] | one request after the other |
//! | [`response`] | the head and the framing of an answer |
//!
//! Where RFC 9112 lets a message be understood in two ways it is refused, and the connection with it.
#![forbid(unsafe_code)]

pub mod body;
pub mod chunked;
pub mod connection;
pub mod head;
pub mod limits;
pub mod refusal;
pub mod request_head;
pub mod response;
pub mod target;

pub use connection::{Connection, Event};
pub use head::Head;
pub use limits::Limits;
pub use refusal::Refusal;
pub use request_head::RequestHead;
pub use response::{HeaderError, LengthError, RequestFacts, ResponseBody, ResponseHead};
