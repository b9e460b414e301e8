//! The Python objects that this wing needs.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::names::imported;

imported!(
    /// `(is_limited) -> BorrowedWorker | None`: a worker thread for one call, if none has to be started.
    borrow_worker, "ferroapi._threads.workers", "borrow"
);
imported!(
    /// `(callable, is_limited) -> awaitable`: the call made by `AnyIO`, in a thread that may be borrowed from then on.
    run_sync, "ferroapi._threads.workers", "run_sync"
);
imported!(
    /// `(worker)`: given back after a call that was waited for in place.
    return_worker, "ferroapi._threads.anyio_pool", "return_worker"
);
imported!(
    /// `(worker) -> (schedule, settle, future)`: how the thread tells the event loop.
    worker_report, "ferroapi._threads.anyio_pool", "report"
);
imported!(
    /// `(worker, future) -> awaitable`: the result of a call that is under way.
    await_worker, "ferroapi._threads.anyio_pool", "wait"
);
