//! What HTTP says: paths, queries, cookies, media types and JSON text, without Python and without I/O.
#![forbid(unsafe_code)]
