//! Every Python object that the engine needs, imported on first use and kept; interned strings are `intern!`ed in place.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// Declare a function that imports `module.attribute` once and lends it from then on.
macro_rules! imported {
    ($(#[$doc:meta])* $name:ident, $module:literal, $attribute:expr) => {
        $(#[$doc])*
        pub(crate) fn $name(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
            static CELL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
            CELL.get_or_try_init(py, || {
                py.import($module)?.getattr($attribute).map(Bound::unbind)
            })
            .map(|object| object.bind(py))
        }
    };
}

pub(crate) use imported;

/// The same for several names of one module.
macro_rules! imported_from {
    ($module:literal: $($(#[$doc:meta])* $name:ident,)+) => {
        $($crate::names::imported!($(#[$doc])* $name, $module, stringify!($name));)+
    };
}

pub(crate) use imported_from;

/// The same for a class, as a type object.
macro_rules! imported_type {
    ($(#[$doc:meta])* $name:ident, $module:literal, $attribute:literal) => {
        $(#[$doc])*
        pub(crate) fn $name(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
            static CELL: PyOnceLock<Py<PyType>> = PyOnceLock::new();
            CELL.import(py, $module, $attribute)
        }
    };
}

// pydantic
imported!(undefined, "pydantic_core", "PydanticUndefined");
imported!(from_json, "pydantic_core", "from_json");
imported_type!(validation_error, "pydantic_core", "ValidationError");

// starlette
imported_type!(request, "starlette.requests", "Request");
imported_type!(websocket, "starlette.websockets", "WebSocket");
imported_type!(response, "starlette.responses", "Response");
imported_type!(json_response, "starlette.responses", "JSONResponse");
imported_type!(plain_text_response, "starlette.responses", "PlainTextResponse");
imported_type!(html_response, "starlette.responses", "HTMLResponse");
imported_type!(redirect_response, "starlette.responses", "RedirectResponse");
imported_type!(streaming_response, "starlette.responses", "StreamingResponse");

// standard library and anyio
imported!(json_loads, "json", "loads");
imported!(aiter, "builtins", "aiter");
imported!(anext, "builtins", "anext");
imported!(uuid, "uuid", "UUID");
imported!(
    /// `(pair) -> (key, value)`
    unpack_pair, "ferroapi.encoders", "_unpack_pair"
);
imported!(closed_resource_error, "anyio", "ClosedResourceError");
imported!(end_of_stream, "anyio", "EndOfStream");
imported!(check_cancelled, "anyio.from_thread", "check_cancelled");
imported!(copy_context, "contextvars", "copy_context");
#[cfg(Py_3_12)]
imported!(enter_task, "asyncio", "_enter_task");
#[cfg(Py_3_12)]
imported!(leave_task, "asyncio", "_leave_task");
imported!(exception, "sys", "exception");
imported_type!(bound_method, "types", "MethodType");
imported_type!(
    /// The class of asyncio's own tasks, whose methods nobody can replace.
    own_task, "_asyncio", "Task"
);

imported_from! {
    "ferroapi._received":
    /// `(connection, pairs, query_string, path_params) -> bool`: whether a connection still says what was read of it.
    says_as_sent,
    /// `(connection, headers, pairs, query_string)`: let a changed connection say the rest of what was read of it.
    keep_as_sent,
}

// ferroapi: the cold half of the native path (python/ferroapi/_engine/rare.py)
imported_from! {
    "ferroapi._engine.rare":
    /// `(loc) -> list`: the one error of a required field that is absent.
    missing_errors,
    /// `(dependant, request) -> (values, errors)`: one node's parameters by the Python leaf.
    parameter_values,
    /// `(dependant, request) -> (values, errors)`: the same of a scope that is not of the types that servers use.
    unusual_values,
    /// `(dependant, body, embed) -> (values, errors)`: one node's body fields by the Python leaf.
    body_values,
    /// `(dependant, body, plan) -> awaitable of (values, errors)`: the same where that may have to wait.
    read_body_values,
    /// `(error, operation, scope) -> Exception`: what FastAPI raises when a body cannot be read or parsed.
    body_failure,
    /// `(errors, body, body_size, operation, scope) -> RequestValidationError`.
    request_invalid,
    /// `(errors, content, operation, scope) -> ResponseValidationError`.
    response_invalid,
    /// `() -> Response`: the response that dependencies write headers and status to.
    sub_response,
    /// `() -> BackgroundTasks`.
    background_tasks,
    /// `(operation, values) -> awaitable`: call an endpoint as the Python conductor does.
    call_endpoint,
    /// `(plan, values, response, background, scope) -> awaitable of Response`: calls an endpoint that is a stream.
    start_stream,
    /// `(plan, result, response, background, status) -> Response`: the general way to a response object.
    build_response,
    /// `(plan, error, response, background, scope) -> awaitable of Response`: the answer to an error that is returned.
    answer_returned_error,
    /// `(error, handlers, scope) -> Response | None`: what the default handlers answer, if they are the ones in charge.
    default_answer,
    /// `(errors, handlers, body_size, scope) -> Response | None`: the default 422, if the default handler is the one in charge.
    default_refusal,
    /// `() -> Exception`: what stands for a path that no route answers.
    not_found,
    /// `(limit) -> HTTPException`: what stands for a form with too many `fields`, or a field of too large a `size`.
    form_limit_error,
}
imported!(
    /// `(error, loc) -> list`: the error list of one failed field.
    field_errors, "ferroapi._compat.v2", "_located"
);
imported!(
    /// `(dependant, values, request, stack) -> awaitable`: call a dependency as the Python solver does.
    call_dependency, "ferroapi._engine.reference.solve", "_call"
);
imported!(
    /// `(operation, request, body) -> awaitable of (result, response, background)`: solve and call by the names that FastAPI calls.
    take_steps, "ferroapi._engine.reference.handler", "take_steps"
);
imported_type!(rendered_response, "ferroapi.exception_handlers", "RenderedResponse");
imported!(
    /// What asks `receive` while an endpoint waits.
    watch, "ferroapi._engine.disconnect", "Watch"
);
imported!(
    /// Cancels an endpoint whose client has left.
    cancel_left, "ferroapi._engine.disconnect", "cancel"
);
imported_from! {
    "ferroapi._engine.disconnect":
    /// Takes that cancellation back.
    uncancel,
    /// Ends a request whose client has left.
    answer_left,
}
imported!(
    /// `(plan, scope, receive, send, application) -> coroutine`: run a websocket that came straight from the server.
    run_connection, "ferroapi._engine.connection", "run_connection"
);
imported!(
    /// `(channels, failure, connection_exits, place, request) -> awaitable`: unwind what is entered (`failure` as `unwind` takes it), then let the exception handlers answer.
    answer_failure, "ferroapi._engine.failure", "answer_failure"
);
imported_from! {
    "ferroapi._engine.teardown":
    /// `(scope, is_outermost) -> (AsyncExitStack, AsyncExitStack, AsyncExitStack | None)`: the exit stacks of request and function scope and that of FastAPI's innermost middleware, put into the scope.
    open_stacks,
    /// `(stack) -> awaitable of bool`: leave what user code entered in an exit stack.
    close_stack,
    /// `() -> CancelScope`, entered: it protects the ends of async generators from cancellation.
    enter_scope,
    /// `(generator, scope) -> awaitable of bool`: run an async generator to its end; whether it stopped there.
    close_async,
}
imported_type!(
    /// What `enter_scope` returns where no scope is needed.
    unscoped, "ferroapi._engine.teardown", "Unscoped"
);
imported!(
    /// `() -> awaitable`.
    checkpoint_if_cancelled, "anyio.lowlevel", "checkpoint_if_cancelled"
);
imported!(form_data, "starlette.datastructures", "FormData");
imported!(headers, "starlette.datastructures", "Headers");
imported!(client_disconnect, "starlette.requests", "ClientDisconnect");

// ferroapi: the credentials of security schemes
imported_type!(authorization_credentials, "ferroapi.security.http", "HTTPAuthorizationCredentials");
imported_type!(basic_credentials, "ferroapi.security.http", "HTTPBasicCredentials");

// ferroapi: telemetry
imported!(
    /// `(operation) -> RequestObserver | None`: who records the running request.
    observe, "ferroapi.telemetry._observer", "observe"
);
imported!(
    /// `(scope=, path=)`: names the route of a request.
    route_selected, "ferroapi.telemetry._api", "_route_selected"
);

// ferroapi: limits of bodies
imported!(
    /// `(application, scope, receive, send, limit) -> receive | None`: a `receive` under a limit, unless Python must answer.
    limited_receive, "ferroapi._body_limit", "limited_receive"
);

// ferroapi: worker threads
imported!(
    /// `(callable, is_limited) -> awaitable`: the call made by `AnyIO`.
    run_sync, "ferroapi._engine.offload", "run_sync"
);
imported_type!(
    /// The class of what `__anext__` of an async generator returns: it is its own iterator.
    async_generator_step, "ferroapi._engine.rare", "AsyncGeneratorStep"
);
imported!(
    /// `(response, scope, receive, send) -> awaitable`: what calling a `StreamingResponse` does.
    send_stream, "ferroapi._engine.sending", "send_stream"
);

// ferroapi: multipart forms (python/ferroapi/_engine/multipart.py)
imported_from! {
    "ferroapi._engine.multipart":
    /// `(parts) -> items | None`: the items of a form, unless Starlette's parser has to read it.
    multipart_items,
    /// `(scope, chunks, messages, receive, is_form) -> awaitable`: the form or the bytes as Starlette reads them.
    read_by_starlette,
    /// `(request, operation) -> awaitable of FormData`: the form under the limits of the route and its routers.
    read_limited,
    /// `(items) -> list`: the files among them.
    uploads,
    /// `(files) -> awaitable`.
    close_files,
    /// `(awaitable, files) -> awaitable`: close the files when something else is done.
    close_files_after,
}
imported!(
    /// `(form) -> int`: what it had at least in its request, in bytes.
    form_size, "ferroapi._shown_errors", "form_size"
);

// ferroapi: the HTTP protocol (python/ferroapi/server.py)
imported_type!(context, "contextvars", "Context");
imported!(current_task, "asyncio", "current_task");
#[cfg(reused_tasks)]
imported!(current_tasks, "asyncio.tasks", "_current_tasks");
#[cfg(all(Py_3_12, reused_tasks))]
imported!(
    /// Those of `all_tasks` that make their first step.
    eager_tasks, "asyncio.tasks", "_eager_tasks"
);
#[cfg(all(Py_3_12, reused_tasks))]
imported!(register_task, "asyncio.tasks", "_register_task");
#[cfg(all(Py_3_12, reused_tasks))]
imported!(unregister_task, "asyncio.tasks", "_unregister_task");
#[cfg(all(Py_3_12, reused_tasks))]
imported!(referents, "gc", "get_referents");
#[cfg(not(Py_3_12))]
imported!(weak_references, "weakref", "getweakrefs");
#[cfg(reused_tasks)]
imported_type!(future, "asyncio", "Future");
imported_type!(task, "asyncio", "Task");
imported!(running_loop, "asyncio.events", "_get_running_loop");
imported!(
    /// The application that answers where there are too many connections or tasks.
    service_unavailable, "uvicorn.protocols.http.flow_control", "service_unavailable"
);
imported_from! {
    "ferroapi.server":
    /// `(transport, logger) -> (server, client, scheme)`.
    peers,
    /// `(logger, template)`: the line that is logged at the level `trace`.
    connection_lost,
    /// `(application) -> (application, trusted_hosts | None)`: what is below uvicorn's middleware for proxy headers.
    below_proxy_headers,
    /// `(client, trusted_hosts) -> bool`: whether this client's proxy headers are believed.
    is_trusted,
    /// `(scope, trusted_hosts)`: put into the scope what a proxy says of the client.
    read_proxy_headers,
    /// `(logger, scope, status)`: the line of the access log.
    log_access,
    /// `(status, text, default_headers) -> bytes`: the answer to what is no request.
    refusal,
    /// `(header) -> (name, value)`: one that is no tuple of two byte strings.
    header_pair,
    /// `() -> messages`: the answer where the application has failed before it answered.
    internal_error_messages,
    /// `(logger, is_websocket_missing)`.
    warn_of_upgrade,
    /// `(class, config, server_state, app_state, transport, data)`: give the connection to another protocol.
    upgrade_connection,
}
imported!(
    /// `(application) -> bool`: whether calling it does what `FastAPI.__call__` does as it is written.
    is_called_as_written, "ferroapi.applications", "_is_called_as_written"
);

/// A copy of an object that has the buffer of one.
///
/// # Errors
/// `TypeError`: it has none.
pub(crate) fn bytes_of<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, pyo3::types::PyBytes>> {
    Ok(pyo3::types::PyMemoryView::from(object)?.call_method0("tobytes")?.cast_into()?)
}
