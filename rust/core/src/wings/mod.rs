//! What stands for parts of other libraries. The engine imports nothing of it: each part registers itself.

pub(crate) mod middleware;
pub(crate) mod models;
pub(crate) mod server;
pub(crate) mod testing;
pub(crate) mod threads;
