//! What HTTP says: paths, queries, cookies, media types and JSON text, without Python and without I/O.
//!
//! Each rule is somebody else's behaviour, reproduced; each module names its source. In the order a request meets them:
//!
//! | module | rule | source |
//! |---|---|---|
//! | [`convertor`], [`template`], [`captures`], [`routes`] | which route a path means, and the texts of its parameters | Starlette, `routing.compile_path` and `Router.app` |
//! | [`percent`], [`query`] | the pairs of a query string | `urllib.parse.parse_qsl(text, keep_blank_values=True)` |
//! | [`cookie`] | the pairs of a Cookie header | Starlette, `requests.cookie_parser` |
//! | [`authorization`] | what an Authorization header carries | FastAPI, `security.http` |
//! | [`media_type`] | what a Content-Type names | `email.message.Message`, python-multipart |
//! | [`form`] | the pairs of a url-encoded body | Starlette, `formparsers.FormParser` |
//! | [`multipart`] | the parts of a multipart body | python-multipart, Starlette, `formparsers.MultiPartParser` |
//! | [`scalar`] | integers, numbers and truth values as text | pydantic's lax mode |
//! | [`json`] | text and numbers as JSON | `json.dumps(ensure_ascii=False)`, `float.__repr__` |
//!
//! Header and query bytes are latin-1 text, as in ASGI; paths are `str`.
#![forbid(unsafe_code)]

pub mod arriving;
pub mod authorization;
pub mod captures;
pub mod convertor;
pub mod cookie;
pub mod form;
pub mod json;
pub mod latin1;
pub mod media_type;
pub mod multipart;
mod node;
mod pattern;
pub mod percent;
pub mod query;
pub mod routes;
pub mod scalar;
pub mod template;

pub use captures::Captures;
pub use convertor::Convertor;
pub use routes::{Find, Routes};
pub use template::Template;
