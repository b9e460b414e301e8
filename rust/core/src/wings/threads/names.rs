//! The Python objects that this wing needs.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::names::imported;

imported! {
    "ferroapi._threads.workers" {
        /// `(is_limited) -> BorrowedWorker | None`: a worker thread for one call, if none has to be started.
        borrow_worker = "borrow",
        /// `(callable, is_limited) -> awaitable`: the call made by `AnyIO`, in a thread that may be borrowed from then on.
        run_sync,
    }
    "ferroapi._threads.anyio_pool" {
        /// `(worker)`: given back after a call that was waited for in place.
        return_worker,
        /// `(worker) -> (schedule, settle, future)`: how the thread tells the event loop.
        worker_report = "report",
        /// `(worker, future) -> awaitable`: the result of a call that is under way.
        await_worker = "wait",
    }
}
