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
    use crate::answer::{encode_json, encode_json_within};
    #[pymodule_export]
    use crate::awaitable::Awaitable;
    #[pymodule_export]
    use crate::body::{form_media_type, is_json_content_type};
    #[pymodule_export]
    use crate::drive::{respond, solve};
    #[pymodule_export]
    use crate::entrance::Entrance;
    #[pymodule_export]
    use crate::entry::Entry;
    #[pymodule_export]
    use crate::grouped::{group_headers, group_query, parse_cookies};
    #[pymodule_export]
    use crate::plan::Plan;
    #[pymodule_export]
    use crate::plan::answer::Answer;
    #[pymodule_export]
    use crate::plan::declared::{Absent, BodyKind, Node, Parameter, Reading, Scalar, Scheme, Source, Special, Step};
    #[pymodule_export]
    use crate::plan::dependency::{CallKind, Child, Credentials, Positional};
    #[pymodule_export]
    use crate::plan::overrides::Lookup;
    #[pymodule_export]
    use crate::response::check_start;
    #[pymodule_export]
    use crate::send::take_turns;
    #[pymodule_export]
    use crate::serialize::model::ModelSerializer;
    #[pymodule_export]
    use crate::snapshot::Snapshot;
    #[pymodule_export]
    use crate::stream::{Recorder, stream};
    #[pymodule_export]
    use crate::table::RouteTable;
    #[pymodule_export]
    use crate::teardown::Lifetime;
    #[pymodule_export]
    use crate::wings::middleware::cross_origin::{CrossOriginSend, cross_origin};
    #[pymodule_export]
    use crate::wings::middleware::{ResponseMessages, SteppedTask, pass_response_on, use_middleware_chain};
    #[pymodule_export]
    use crate::wings::models::{ContainerType, JsonField, JsonType, PlainType, plain_model};
    #[pymodule_export]
    use crate::wings::server::HTTPProtocol;
    #[pymodule_export]
    use crate::wings::testing::count_thread_values;
    #[pymodule_export]
    use crate::wings::threads::{WorkQueue, use_borrowed_workers};
    #[pymodule_export]
    use crate::witness::{Row, Witness, is_replaced};
}
