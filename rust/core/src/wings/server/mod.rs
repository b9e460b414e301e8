//! uvicorn's HTTP protocol, by `rust/http`: in the order in which bytes, and then the application's messages, pass.

mod application_call;
mod channels;
mod deadlines;
mod direct;
mod exchange;
mod output;
mod processing;
mod protocol;
mod resolved;
mod responding;
mod scope;
mod server_state;
mod settings;
#[cfg(reused_tasks)]
mod spare;
mod state;
mod unusual;
mod waiting;

pub(crate) use state::HTTPProtocol;
