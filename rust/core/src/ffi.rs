//! Every raw C-API call of the crate, and so its only `unsafe`: the calls and coroutines, classes and versions here, what
//! objects hold and the entries of dicts in the folder.
#![expect(
    unsafe_code,
    reason = "PyO3 has no safe vectorcall with keyword names and no send() for plain coroutines; both are on every request"
)]

#[cfg(Py_3_12)]
use std::ffi::c_int;
#[cfg(Py_3_12)]
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use pyo3::prelude::*;
#[cfg(Py_3_12)]
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyDictMethods, PyString, PyTuple, PyType, PyTypeMethods};

use crate::error::{Error, caught};

pub(crate) mod entries;
pub(crate) mod kept;
pub(crate) mod locked;

/// What an awaitable answered when it was resumed.
pub(crate) enum Sent<'py> {
    /// It is suspended on this object (a future, a trap), which belongs to the event loop.
    Yielded(Bound<'py, PyAny>),
    /// It is finished, with this result.
    Returned(Bound<'py, PyAny>),
}

/// Call `callable` with positional and keyword arguments laid side by side, without a tuple or a dict.
///
/// `keywords` names the last `keywords.len()` of `arguments`.
///
/// # Errors
/// Whatever the call raises; `SystemError` if there are more names than arguments.
#[inline]
pub(crate) fn vectorcall<'py>(
    callable: &Bound<'py, PyAny>,
    arguments: &[Py<PyAny>],
    keywords: Option<&Bound<'py, PyTuple>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = callable.py();
    let names = keywords.map_or(0, PyTupleMethods::len);
    let Some(positional) = arguments.len().checked_sub(names) else {
        return Err(Error::Names { names, arguments: arguments.len() }.into());
    };
    let keyword_names = keywords.map_or(std::ptr::null_mut(), Bound::as_ptr);
    // SAFETY: `Py<PyAny>` is `repr(transparent)` over a non-null object pointer, so the slice is an array of
    // `positional + names` borrowed references that outlives the call; `keyword_names` is null or a tuple of that many str.
    let result = unsafe {
        pyo3::ffi::PyObject_Vectorcall(
            callable.as_ptr(),
            arguments.as_ptr().cast::<*mut pyo3::ffi::PyObject>(),
            positional,
            keyword_names,
        )
    };
    // SAFETY: a vectorcall returns a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(py, result) }
}

/// The text whose characters have the numbers of these bytes.
///
/// Measured: for a short text `PyString::new` takes 230 instructions, this 190: it has no UTF-8 to look for.
///
/// # Errors
/// `MemoryError`; `OverflowError` for more bytes than an object can have.
#[inline]
pub(crate) fn latin_1<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    let length = isize::try_from(bytes.len())?;
    // SAFETY: the pointer is to that many bytes; no error handler is named, because no byte is an error.
    let text = unsafe { pyo3::ffi::PyUnicode_DecodeLatin1(bytes.as_ptr().cast(), length, std::ptr::null()) };
    // SAFETY: the function returns a new reference, or null with an exception set.
    Ok(unsafe { Bound::from_owned_ptr_or_err(py, text) }?.cast_into()?)
}

/// Resume a coroutine or an iterator with `value`, as `await` does.
///
/// # Errors
/// Whatever it raises (`StopIteration` is `Sent::Returned`).
#[inline]
pub(crate) fn send<'py>(iterator: &Bound<'py, PyAny>, value: &Bound<'py, PyAny>) -> PyResult<Sent<'py>> {
    let py = iterator.py();
    let mut result = std::ptr::null_mut();
    // SAFETY: both pointers are live borrowed references; `result` is written with a new reference or left null.
    let outcome = unsafe { pyo3::ffi::PyIter_Send(iterator.as_ptr(), value.as_ptr(), &raw mut result) };
    // SAFETY: by the contract of `PyIter_Send` the result is an owned reference, or null with an exception set.
    let result = unsafe { Bound::from_owned_ptr_or_err(py, result) }?;
    Ok(match outcome {
        pyo3::ffi::PySendResult::PYGEN_NEXT => Sent::Yielded(result),
        _ => Sent::Returned(result),
    })
}

/// Run something in a `contextvars.Context`, as its `run` does.
///
/// Measured: `Context.run` with a method to call makes a `StopIteration` at each end, and takes twice as long.
///
/// # Errors
/// `TypeError` if it is no context, `RuntimeError` if it is entered already, and what is run returns.
#[inline]
pub(crate) fn in_context<T>(context: &Bound<'_, PyAny>, run: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    let py = context.py();
    // SAFETY: the reference is live, and the function checks its type.
    if unsafe { pyo3::ffi::PyContext_Enter(context.as_ptr()) } != 0 {
        return Err(PyErr::fetch(py));
    }
    // A panic of what is run must not leave this thread in the context.
    let result = caught(run);
    // SAFETY: the context was entered above by this thread, and the function checks that what `run` entered it has left.
    if unsafe { pyo3::ffi::PyContext_Exit(context.as_ptr()) } != 0 {
        return Err(PyErr::fetch(py));
    }
    result?
}

/// A copy of a `contextvars.Context`.
///
/// # Errors
/// `TypeError` if it is no context.
pub(crate) fn copy_context<'py>(context: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: the reference is live, and the function checks its type.
    let copy = unsafe { pyo3::ffi::PyContext_Copy(context.as_ptr()) };
    // SAFETY: it returns a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(context.py(), copy) }
}

/// The value of an object, to be changed, if nobody else has a reference to the object; `get` is [`Py::get`].
///
/// As long as it is borrowed, nothing of Python's is called, or dropped.
/// Measured: to end an object and to make another takes 600 instructions.
#[cfg(not(Py_GIL_DISABLED))]
#[inline]
pub(crate) fn sole_value<'a, T>(py: Python<'_>, object: &'a mut Py<T>, get: fn(&Py<T>) -> &T) -> Option<&'a mut T> {
    if reference_count(object.bind(py).as_any()) != 1 {
        return None;
    }
    let offset = std::ptr::from_ref(get(object)).addr() - object.as_ptr().addr();
    // SAFETY: the value lies in the object, so many bytes behind its start.
    let value = unsafe { object.as_ptr().byte_add(offset) }.cast::<T>();
    // SAFETY: the object lives as long as the reference to it, which is the only one, and is borrowed for this alone. What
    // finds objects without a reference is the collector, which does not run meanwhile; the lock of the interpreter keeps
    // other threads out.
    Some(unsafe { &mut *value })
}

/// None: another thread may be about to take a reference.
#[cfg(Py_GIL_DISABLED)]
pub(crate) fn sole_value<'a, T>(_py: Python<'_>, _object: &'a mut Py<T>, _get: fn(&Py<T>) -> &T) -> Option<&'a mut T> {
    None
}

/// How many references there are to an object.
#[cfg(not(Py_GIL_DISABLED))]
pub(crate) fn reference_count(object: &Bound<'_, PyAny>) -> isize {
    // SAFETY: the reference is live; the lock of the interpreter keeps others from changing the number.
    unsafe { pyo3::ffi::Py_REFCNT(object.as_ptr()) }
}

/// Whether there are weak references to an object.
#[cfg(all(Py_3_12, reused_tasks))]
#[inline]
pub(crate) fn has_weak_references(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: the class of a live object is alive.
    let offset = unsafe { (*object.get_type_ptr()).tp_weaklistoffset };
    if offset == 0 {
        return false;
    }
    // SAFETY: the class says that the list begins there, in front of the object if the number is negative.
    let list = unsafe { object.as_ptr().byte_offset(offset) }.cast::<*mut pyo3::ffi::PyObject>();
    // SAFETY: as above; the lock of the interpreter keeps others from writing.
    !unsafe { *list }.is_null()
}

/// Whether two contexts have the same variables with the same values: none of them was set since one was the copy of the
/// other.
///
/// Compared as Python does it, values would be asked for equality: `True` would pass for 1.
#[cfg(reused_tasks)]
pub(crate) fn has_same_variables(context: &Bound<'_, PyAny>, other: &Bound<'_, PyAny>) -> bool {
    // The beginning of the `PyContext` of CPython 3.11 to 3.13.
    #[repr(C)]
    struct Context {
        base: pyo3::ffi::PyObject,
        previous: *mut pyo3::ffi::PyObject,
        variables: *mut pyo3::ffi::PyObject,
    }
    let variables = |context: &Bound<'_, PyAny>| {
        if context.get_type_ptr() != &raw mut pyo3::ffi::PyContext_Type {
            return std::ptr::null_mut();
        }
        // SAFETY: a live object of exactly this type, whose layout this is; the lock of the interpreter keeps others out.
        unsafe { (*context.as_ptr().cast::<Context>()).variables }
    };
    let found = variables(context);
    // A mapping of a context is never changed: setting a variable makes another one.
    !found.is_null() && found == variables(other)
}

/// How many values are kept for the current thread in the dictionary of its state.
pub(crate) fn count_thread_values(py: Python<'_>) -> Option<usize> {
    // SAFETY: `py` says that this thread is attached; the reference that is returned is borrowed, or null without an
    // exception.
    let values = unsafe { pyo3::ffi::PyThreadState_GetDict() };
    // SAFETY: a null pointer is told from a reference by the function, which takes another one of its own.
    let values = unsafe { Bound::from_borrowed_ptr_or_opt(py, values) }?;
    values.cast::<PyDict>().ok().map(PyDictMethods::len)
}

/// Whether `object` is a coroutine made by `async def`, which `send` takes as it is.
#[inline]
pub(crate) fn is_coroutine(object: &Bound<'_, PyAny>) -> bool {
    // No class can be derived from it, and a call that asks whether this is one of such a class takes 20 instructions.
    object.get_type_ptr() == &raw mut pyo3::ffi::PyCoro_Type
}

/// What an async generator's next value is awaited by, as `anext` returns it; `None` for any other object.
///
/// Measured: for each chunk of a stream, a call of `anext` takes 100 instructions more.
#[inline]
pub(crate) fn async_generator_next<'py>(generator: &Bound<'py, PyAny>) -> Option<PyResult<Bound<'py, PyAny>>> {
    let class = generator.get_type_ptr();
    if class != &raw mut pyo3::ffi::PyAsyncGen_Type {
        return None;
    }
    // SAFETY: the type of async generators is there as long as the interpreter, and never changes.
    let methods = unsafe { (*class).tp_as_async };
    // SAFETY: it has these methods, as every type has that can be iterated asynchronously.
    let next = unsafe { methods.as_ref() }?.am_anext?;
    // SAFETY: the method of the object's own type, called with the live object.
    let step = unsafe { next(generator.as_ptr()) };
    // SAFETY: it returns a new reference, or null with an exception set.
    Some(unsafe { Bound::from_owned_ptr_or_err(generator.py(), step) })
}

/// Whether `callable` is a function whose code is `code`.
#[inline]
pub(crate) fn is_function_of(callable: &Bound<'_, PyAny>, code: &Py<PyAny>) -> bool {
    // SAFETY: a type check on a live reference.
    let is_function = unsafe { pyo3::ffi::PyFunction_Check(callable.as_ptr()) != 0 };
    // SAFETY: the reference is live and a function's; what is returned is compared only.
    is_function && unsafe { pyo3::ffi::PyFunction_GetCode(callable.as_ptr()) } == code.as_ptr()
}

/// A type's version: another one whenever the type or a base of it was modified, 0 while it has none.
///
/// Measured: eight attribute lookups a request cost 2,200 instructions, four versions 30.
#[inline]
pub(crate) fn type_version(class: &Bound<'_, PyType>) -> u32 {
    // SAFETY: the type object is live, and the field is one of every CPython that PyO3 builds for.
    let version = unsafe { &raw mut (*class.as_type_ptr()).tp_version_tag };
    // SAFETY: an aligned field of a live object. It is read as an atomic, since another thread may modify the type.
    unsafe { AtomicU32::from_ptr(version) }.load(Ordering::Relaxed)
}

/// The dict in which a class keeps its own attributes.
///
/// # Errors
/// `MemoryError`.
#[cfg(Py_3_12)]
pub(crate) fn class_dict<'py>(class: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyDict>> {
    // SAFETY: the type object is live.
    let dict = unsafe { pyo3::ffi::PyType_GetDict(class.as_type_ptr()) };
    // SAFETY: the function returns a new reference, or null with an exception set.
    Ok(unsafe { Bound::from_owned_ptr_or_err(class.py(), dict) }?.cast_into()?)
}

#[cfg(not(Py_3_12))]
pub(crate) fn class_dict<'py>(class: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyDict>> {
    // SAFETY: the type object is live; one that is ready has a dict, for as long as it lives.
    let dict = unsafe { (*class.as_type_ptr()).tp_dict };
    // SAFETY: a borrowed reference, or null, of which an error is made.
    Ok(unsafe { Bound::from_borrowed_ptr_or_err(class.py(), dict) }?.cast_into()?)
}

/// Have `note` called with the address of this dict before each modification of it, and at its end.
///
/// It is called with the lock of the interpreter, or with that of the dict: it must not touch a Python object. One and the
/// same function serves all dicts.
///
/// # Errors
/// `RuntimeError`: the interpreter has no watcher left.
#[cfg(Py_3_12)]
pub(crate) fn watch(dict: &Bound<'_, PyDict>, note: fn(usize)) -> PyResult<()> {
    static NOTE: OnceLock<fn(usize)> = OnceLock::new();
    static WATCHER: PyOnceLock<c_int> = PyOnceLock::new();

    extern "C" fn modified(_event: c_int, dict: *mut pyo3::ffi::PyObject, _key: Object, _value: Object) -> c_int {
        if let Some(note) = NOTE.get() {
            note(dict.addr());
        }
        0
    }

    type Object = *mut pyo3::ffi::PyObject;
    // SAFETY: the signatures are those of `cpython/dictobject.h` since 3.12; the event is an enumeration of C.
    unsafe extern "C" {
        fn PyDict_AddWatcher(callback: extern "C" fn(c_int, Object, Object, Object) -> c_int) -> c_int;
        fn PyDict_Watch(watcher: c_int, dict: Object) -> c_int;
    }
    let py = dict.py();
    NOTE.get_or_init(|| note);
    let watcher = *WATCHER.get_or_try_init(py, || {
        // SAFETY: the function is there as long as the process.
        let watcher = unsafe { PyDict_AddWatcher(modified) };
        if watcher < 0 { Err(PyErr::fetch(py)) } else { Ok(watcher) }
    })?;
    // SAFETY: a watcher that was added, and a live dict.
    if unsafe { PyDict_Watch(watcher, dict.as_ptr()) } < 0 { Err(PyErr::fetch(py)) } else { Ok(()) }
}

/// An instance's `__dict__`, whatever its class has under that name.
///
/// # Errors
/// `AttributeError` if it has none.
#[inline]
pub(crate) fn instance_dict<'py>(instance: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: the object is live; without a context the function only finds the dict, or makes it.
    let dict = unsafe { pyo3::ffi::PyObject_GenericGetDict(instance.as_ptr(), std::ptr::null_mut()) };
    // SAFETY: it returns a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(instance.py(), dict) }
}

/// A dict's version: another one whenever the dict was modified, greater than all that any dict had before.
///
/// It is for Python 3.11, whose dicts cannot be watched. Measured: five lookups in modules cost 630 instructions, one
/// version of each module 20; a request would look 175 names up.
#[cfg(not(Py_3_12))]
#[inline]
pub(crate) fn dict_version(dict: &Bound<'_, PyDict>) -> u64 {
    let dict = dict.as_ptr().cast::<pyo3::ffi::PyDictObject>();
    // SAFETY: the object is a live dict, whose layout this is, and the lock of the interpreter keeps others out.
    unsafe { (*dict).ma_version_tag }
}

/// Whether an instance keeps all its attributes in this dict, which is its own, and not beside it.
///
/// From Python 3.13 on, an instance keeps them beside a dict that was only made to show them; nobody who watches that dict
/// is told when they are set.
#[cfg(Py_3_13)]
pub(crate) fn holds_all_attributes(dict: &Bound<'_, PyDict>) -> bool {
    let dict = dict.as_ptr().cast::<pyo3::ffi::PyDictObject>();
    // SAFETY: the object is a live dict, whose layout this is; the field is compared only.
    unsafe { (*dict).ma_values.is_null() }
}

#[cfg(not(Py_3_13))]
pub(crate) fn holds_all_attributes(_dict: &Bound<'_, PyDict>) -> bool {
    true
}

/// Set a key of a dict if it has it not; tell whether that was so.
///
/// Measured: a look and a write cost 290 instructions, this 190.
///
/// # Errors
/// Those of hashing and comparing keys.
#[inline]
pub(crate) fn set_default(
    dict: &Bound<'_, PyDict>,
    key: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
) -> PyResult<bool> {
    // SAFETY: three live borrowed references; the result is borrowed too, or null with an exception set.
    let kept = unsafe { pyo3::ffi::PyDict_SetDefault(dict.as_ptr(), key.as_ptr(), value.as_ptr()) };
    if kept.is_null() { Err(PyErr::fetch(dict.py())) } else { Ok(kept == value.as_ptr()) }
}

/// The item of a sequence at an index, which an index too large has not.
///
/// Measured: by a number of Python's it takes 250 instructions, this 90.
///
/// # Errors
/// `IndexError`; `TypeError` if it is no sequence.
pub(crate) fn item_at<'py>(sequence: &Bound<'py, PyAny>, index: usize) -> PyResult<Bound<'py, PyAny>> {
    let index = isize::try_from(index)?;
    // SAFETY: the reference is live, and the function checks whether it is to a sequence.
    let item = unsafe { pyo3::ffi::PySequence_GetItem(sequence.as_ptr(), index) };
    // SAFETY: it returns a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(sequence.py(), item) }
}
