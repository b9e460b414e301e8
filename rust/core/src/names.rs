//! Every Python object that the engine needs, imported on first use and kept; interned strings are `intern!`ed in place.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// Declare functions that import what a module has, by the same name or another, and lend it from then on.
macro_rules! imported {
    ($($module:literal { $($(#[$meta:meta])* $name:ident $(= $attribute:literal)?),+ $(,)? })+) => {$($(
        $(#[$meta])*
        pub(crate) fn $name(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
            static CELL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
            let attribute = $crate::names::imported!(@ $name $($attribute)?);
            let object = CELL.get_or_try_init(py, || py.import($module)?.getattr(attribute).map(Bound::unbind));
            object.map(|object| object.bind(py))
        }
    )+)+};
    (@ $name:ident) => { stringify!($name) };
    (@ $name:ident $attribute:literal) => { $attribute };
}

pub(crate) use imported;

/// The same for classes, as type objects.
macro_rules! imported_types {
    ($($module:literal { $($(#[$meta:meta])* $name:ident = $attribute:literal),+ $(,)? })+) => {$($(
        $(#[$meta])*
        pub(crate) fn $name(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
            static CELL: PyOnceLock<Py<PyType>> = PyOnceLock::new();
            CELL.import(py, $module, $attribute)
        }
    )+)+};
}

imported_types! {
    "pydantic_core" { validation_error = "ValidationError" }
    "starlette.requests" { request = "Request" }
    "starlette.websockets" { websocket = "WebSocket" }
    "starlette.responses" {
        response = "Response",
        json_response = "JSONResponse",
        plain_text_response = "PlainTextResponse",
        html_response = "HTMLResponse",
        redirect_response = "RedirectResponse",
        streaming_response = "StreamingResponse",
    }
    "types" { bound_method = "MethodType" }
    "_asyncio" {
        /// The class of asyncio's own tasks, whose methods nobody can replace.
        own_task = "Task",
    }
    "ferroapi.exception_handlers" { rendered_response = "RenderedResponse" }
    "ferroapi._engine.teardown" {
        /// What `enter_scope` returns where no scope is needed.
        unscoped = "Unscoped",
    }
    "ferroapi.security.http" {
        authorization_credentials = "HTTPAuthorizationCredentials",
        basic_credentials = "HTTPBasicCredentials",
    }
    "ferroapi._engine.rare" {
        /// The class of what `__anext__` of an async generator returns: it is its own iterator.
        async_generator_step = "AsyncGeneratorStep",
    }
    "contextlib" { exit_stack = "AsyncExitStack" }
    "contextvars" { context = "Context" }
    "asyncio" {
        #[cfg(reused_tasks)]
        future = "Future",
        task = "Task",
    }
}

imported! {
    "pydantic_core" { undefined = "PydanticUndefined", from_json }
    "json" { json_loads = "loads" }
    "builtins" { aiter, anext }
    "uuid" { uuid = "UUID" }
    "ferroapi.encoders" {
        /// `(pair) -> (key, value)`
        unpack_pair = "_unpack_pair",
    }
    "anyio" { closed_resource_error = "ClosedResourceError", end_of_stream = "EndOfStream" }
    "anyio.from_thread" { check_cancelled }
    "contextvars" { copy_context }
    "asyncio" {
        #[cfg(Py_3_12)]
        enter_task = "_enter_task",
        #[cfg(Py_3_12)]
        leave_task = "_leave_task",
        current_task,
    }
    "sys" { exception }
    "ferroapi._received" {
        /// `(connection, pairs, query_string, path_params) -> bool`: whether a connection still says what was read of it.
        says_as_sent,
        /// `(connection, headers, pairs, query_string)`: let a changed connection say the rest of what was read of it.
        keep_as_sent,
    }
    "ferroapi._engine.rare" {
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
        /// `(error, operation, request) -> Exception`: what FastAPI raises when a body cannot be read or parsed.
        body_failure,
        /// `(errors, body, body_size, operation, connection) -> RequestValidationError`.
        request_invalid,
        /// `(errors, content, operation, request) -> ResponseValidationError`.
        response_invalid,
        /// `() -> Response`: the response that dependencies write headers and status to.
        sub_response,
        /// `() -> BackgroundTasks`.
        background_tasks,
        /// `(operation, values) -> awaitable`: call an endpoint as the Python conductor does.
        call_endpoint,
        /// `(plan, values, response, background, request) -> awaitable of Response`: calls an endpoint that is a stream.
        start_stream,
        /// `(plan, result, response, background, request) -> awaitable of Response`: the general way to a response object.
        build_response,
        /// `(operation, result, request) -> awaitable`: what `serialize_response` makes of a result.
        serialize,
        /// `(operation, content, response, background) -> Response`: the response with that.
        respond_with,
        /// `(plan, error, response, background, request) -> awaitable of Response`: the answer to an error that is returned.
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
    "ferroapi._compat.v2" {
        /// `(error, loc) -> list`: the error list of one failed field.
        field_errors = "_located",
    }
    "ferroapi._engine.reference.solve" {
        /// `(dependant, values, request, stack) -> awaitable`: call a dependency as the Python solver does.
        call_dependency = "_call",
    }
    "ferroapi._engine.reference" {
        /// The module whose functions are called by the names that FastAPI calls.
        reference_handler = "handler",
    }
    "ferroapi._engine.reference.handler" {
        /// `(operation, request, body) -> awaitable of (result, response, background)`: solve and call by the names that FastAPI calls.
        take_steps,
        /// `(operation, request, body, solved) -> awaitable of the same`: those that follow what solving gave.
        take_last_steps,
    }
    "ferroapi._engine.disconnect" {
        /// What asks `receive` while an endpoint waits.
        watch = "Watch",
        /// Cancels an endpoint whose client has left.
        cancel_left = "cancel",
        /// Takes that cancellation back.
        uncancel,
        /// Ends a request whose client has left.
        answer_left,
    }
    "ferroapi._engine.connection" {
        /// `(plan, scope, receive, send, application) -> coroutine`: run a websocket that came straight from the server.
        run_connection,
    }
    "ferroapi._engine.failure" {
        /// `(channels, failure, connection_exits, place, request) -> awaitable`: unwind what is entered (`failure` as `unwind` takes it), then let the exception handlers answer.
        answer_failure,
    }
    "ferroapi._engine.teardown" {
        /// `(scope) -> AsyncExitStack`: the exit stack of FastAPI's innermost middleware, put into the scope.
        open_outermost,
        /// `(stack) -> awaitable of bool`: leave what user code entered in an exit stack.
        close_stack,
        /// `() -> CancelScope`, entered: it protects the ends of async generators from cancellation.
        enter_scope,
        /// `(generator, scope) -> awaitable of bool`: run an async generator to its end; whether it stopped there.
        close_async,
    }
    "anyio.lowlevel" {
        /// `() -> awaitable`.
        checkpoint_if_cancelled,
    }
    "starlette.datastructures" { form_data = "FormData", headers = "Headers" }
    "starlette.requests" { client_disconnect = "ClientDisconnect" }
    "ferroapi.telemetry._observer" {
        /// `(operation) -> RequestObserver | None`: who records the running request.
        observe,
    }
    "ferroapi.telemetry._api" {
        /// What is known of a request that somebody records; `was_made` says whether there ever was one.
        request_telemetry = "_RequestTelemetry",
        /// `(scope=, path=)`: names the route of a request.
        route_selected = "_route_selected",
    }
    "ferroapi._body_limit" {
        /// `(application, scope, receive, send, limit) -> receive | None`: a `receive` under a limit, unless Python must answer.
        limited_receive,
    }
    "ferroapi._engine.offload" {
        /// `(callable, is_limited) -> awaitable`: the call made by `AnyIO`.
        run_sync,
    }
    "ferroapi._engine.sending" {
        /// `(response, scope, receive, send) -> awaitable`: what calling a `StreamingResponse` does.
        send_stream,
    }
    "ferroapi._engine.multipart" {
        /// `(parts) -> items | None`: the items of a form, unless Starlette's parser has to read it.
        multipart_items,
        /// `(scope, chunks, messages, receive, is_form) -> awaitable`: the form or the bytes as Starlette reads them.
        read_by_starlette,
        /// `(request, operation) -> awaitable`: the form under the limits of the route and its routers; of any other body
        /// what FastAPI makes of it, and its size.
        read_from_request,
        /// `(items) -> list`: the files among them.
        uploads,
        /// `(files) -> awaitable`.
        close_files,
        /// `(awaitable, files) -> awaitable`: close the files when something else is done.
        close_files_after,
    }
    "ferroapi._shown_errors" {
        /// `(form) -> int`: what it had at least in its request, in bytes.
        form_size,
    }
    "asyncio.tasks" {
        #[cfg(reused_tasks)]
        current_tasks = "_current_tasks",
        #[cfg(all(Py_3_12, reused_tasks))]
        /// Those of `all_tasks` that make their first step.
        eager_tasks = "_eager_tasks",
        #[cfg(all(Py_3_12, reused_tasks))]
        register_task = "_register_task",
        #[cfg(all(Py_3_12, reused_tasks))]
        unregister_task = "_unregister_task",
    }
    "gc" {
        #[cfg(all(Py_3_12, reused_tasks))]
        referents = "get_referents",
    }
    "weakref" {
        #[cfg(not(Py_3_12))]
        weak_references = "getweakrefs",
    }
    "asyncio.events" { running_loop = "_get_running_loop" }
    "uvicorn.protocols.http.flow_control" {
        /// The application that answers where there are too many connections or tasks.
        service_unavailable,
    }
    "ferroapi.server" {
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
    "ferroapi.applications" {
        /// `(application) -> bool`: whether calling it does what `FastAPI.__call__` does as it is written.
        is_called_as_written = "_is_called_as_written",
    }
}

/// A copy of an object that has the buffer of one.
///
/// # Errors
/// `TypeError`: it has none.
pub(crate) fn bytes_of<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, pyo3::types::PyBytes>> {
    Ok(pyo3::types::PyMemoryView::from(object)?.call_method0("tobytes")?.cast_into()?)
}
