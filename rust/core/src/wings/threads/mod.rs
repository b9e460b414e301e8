//! Stands for `AnyIO`'s calls in worker threads. The threads are its own (`ferroapi._threads.anyio_pool`); only the queue
//! that each of them reads is this one.

mod borrowed_worker;
mod names;
mod thread_call;
mod work_queue;

use pyo3::pyfunction;

pub(crate) use work_queue::WorkQueue;

use crate::worker_thread;

/// Let the engine make its calls in threads that are borrowed from `AnyIO`.
#[pyfunction]
pub(crate) fn use_borrowed_workers() {
    worker_thread::register(borrowed_worker::call);
}
