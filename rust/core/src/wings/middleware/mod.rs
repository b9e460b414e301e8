//! Stands for Starlette's middleware: what its layers do, without what they are surrounded by there.

pub(crate) mod cross_origin;
mod loop_turn;
mod names;
mod passed_response;
pub(crate) mod response_messages;
mod running_task;
mod stepped_task;

use pyo3::pyfunction;

pub(crate) use passed_response::pass_response_on;
pub(crate) use response_messages::ResponseMessages;
pub(crate) use stepped_task::SteppedTask;

use crate::send;

/// Let the engine hand its messages to the functions that stand for middleware functions, without awaiting them.
#[pyfunction]
pub(crate) fn use_middleware_chain() {
    send::register(response_messages::send_directly, response_messages::cancelling::take_turns);
}
