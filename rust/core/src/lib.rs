//! The extension module `ferroapi._core`: the list of what it exports, nothing else.

mod answer;
mod attribute;
mod awaitable;
mod body;
mod class_dicts;
mod connection;
mod credentials;
mod drive;
mod entrance;
mod entry;
mod error;
mod extract;
mod ffi;
mod grouped;
mod names;
mod observer;
mod offload;
mod place;
mod plan;
mod response;
mod scope;
mod send;
mod serialize;
mod snapshot;
mod solve;
mod stream;
mod table;
mod teardown;
mod validate;
mod watched;
mod wings;
mod witness;
mod worker_thread;

use pyo3::pymodule;

/// The engine of ferroapi.
#[pymodule(gil_used = false)]
mod _core {
    #[pymodule_export]
    use crate::{
        answer::{encode_json, encode_json_within},
        awaitable::Awaitable,
        body::{form_media_type, is_json_content_type},
        drive::responding::{drive, respond, solve},
        entrance::Entrance,
        entry::Entry,
        grouped::{group_headers, group_query, parse_cookies},
        plan::Plan,
        plan::answer::Answer,
        plan::declared::{Absent, BodyKind, Node, Parameter, Reading, Scalar, Scheme, Source, Special, Step},
        plan::dependency::{CallKind, Child, Credentials, Positional},
        plan::overrides::Lookup,
        response::check_start,
        send::take_turns,
        serialize::model::ModelSerializer,
        serialize::plain::plain_copy,
        snapshot::Snapshot,
        stream::{Recorder, stream},
        table::RouteTable,
        teardown::Lifetime,
        wings::middleware::cross_origin::{CrossOriginSend, cross_origin},
        wings::middleware::{ResponseMessages, SteppedTask, pass_response_on, use_middleware_chain},
        wings::models::{ContainerType, JsonField, JsonType, PlainType, plain_model},
        wings::server::HTTPProtocol,
        wings::testing::count_thread_values,
        wings::threads::{WorkQueue, use_borrowed_workers},
        witness::{Row, Witness, is_replaced},
    };
}
