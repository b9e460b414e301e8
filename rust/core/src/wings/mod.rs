//! What stands for parts of other libraries; the engine imports nothing of it.

pub(crate) mod server;
