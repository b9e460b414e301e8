//! A call in a worker thread: made by `AnyIO`, or by what stands for it there.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use pyo3::prelude::*;

use crate::names;

/// A call that takes longer is waited for by way of the event loop, which costs about this much.
const SHORT: Duration = Duration::from_micros(50);

/// How many short calls in a row make the next one likely to be short.
const STREAK: u8 = 3;

/// How many calls in a row were short: whether it pays to wait in place for the next one.
#[derive(Clone, Debug, Default)]
pub(crate) struct ShortCalls(Arc<AtomicU8>);

impl ShortCalls {
    pub(crate) fn is_short(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= STREAK
    }

    pub(crate) fn note(&self, taken: Duration) {
        let streak = self.0.load(Ordering::Relaxed);
        let streak = if taken > SHORT { 0 } else { streak.saturating_add(1).min(STREAK) };
        self.0.store(streak, Ordering::Relaxed);
    }

    pub(crate) fn note_long(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// What a call in a worker thread came to.
pub(crate) enum Called {
    /// It has returned.
    Returned(Py<PyAny>),
    /// It is under way: its result is that of this awaitable.
    Awaiting(Py<PyAny>),
}

/// How a call stands to `AnyIO`'s limiter and to cancellation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limiter {
    /// It takes one of the default limiter's tokens, and is not begun for a request that is cancelled already.
    Shared,
    /// It takes none, and is run whatever happens to the request.
    Own,
}

/// What makes a call in place of `AnyIO`.
pub(crate) type Caller = fn(&Bound<'_, PyAny>, Limiter, &ShortCalls) -> PyResult<Called>;

static CALLER: OnceLock<Caller> = OnceLock::new();

/// Let calls be made by something else than `AnyIO` from now on.
pub(crate) fn register(caller: Caller) {
    CALLER.get_or_init(|| caller);
}

/// Call `callable` in a worker thread, as `anyio.to_thread.run_sync` does.
///
/// # Errors
/// Whatever the call raises, if it is over already.
pub(crate) fn call(callable: &Bound<'_, PyAny>, limiter: Limiter, short_calls: &ShortCalls) -> PyResult<Called> {
    if let Some(caller) = CALLER.get() {
        return caller(callable, limiter, short_calls);
    }
    let awaitable = names::run_sync(callable.py())?.call1((callable, limiter == Limiter::Shared))?;
    Ok(Called::Awaiting(awaitable.unbind()))
}
