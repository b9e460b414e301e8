//! Every raw C-API call of the crate, and so its only `unsafe`.
#![expect(
    unsafe_code,
    reason = "PyO3 has no safe vectorcall with keyword names and no send() for plain coroutines; both are on every request"
)]

#[cfg(Py_3_12)]
use std::ffi::c_int;
use std::marker::PhantomData;
use std::num::NonZeroU64;
#[cfg(Py_3_12)]
use std::sync::OnceLock;
#[cfg(Py_GIL_DISABLED)]
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::{AtomicU32, Ordering};

use pyo3::prelude::*;
#[cfg(Py_3_12)]
use pyo3::sync::PyOnceLock;
use pyo3::sync::critical_section::with_critical_section;
use pyo3::types::{PyDict, PyDictMethods, PyList, PyString, PyTuple, PyType, PyTypeMethods};
use pyo3::{PyTraverseError, PyVisit};

use crate::error::{Error, caught};

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

/// How many references there are to an object.
#[cfg(not(Py_3_12))]
pub(crate) fn reference_count(object: &Bound<'_, PyAny>) -> isize {
    // SAFETY: the reference is live; the lock of the interpreter keeps others from changing the number.
    unsafe { pyo3::ffi::Py_REFCNT(object.as_ptr()) }
}

/// Whether two contexts have the same variables with the same values: none of them was set since one was the copy of the
/// other.
///
/// Compared as Python does it, values would be asked for equality: `True` would pass for 1.
#[cfg(not(Py_3_12))]
pub(crate) fn has_same_variables(context: &Bound<'_, PyAny>, other: &Bound<'_, PyAny>) -> bool {
    // The beginning of CPython 3.11's `PyContext`, which is the oldest and, before 3.12, the only version here.
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

/// Attributes of one object that it keeps in slots (`__slots__`), as they were.
#[derive(Debug)]
pub(crate) struct Slots {
    object: Py<PyAny>,
    /// Where each is, in bytes from the start of the object, in order, and what it holds.
    values: Box<[(usize, Option<Py<PyAny>>)]>,
    /// The memory from the first one to the last, with what lies between them.
    #[cfg(not(Py_GIL_DISABLED))]
    words: Box<[usize]>,
}

impl Slots {
    /// The slots among `names`, if there are any; the names that are no slots are left in `names`.
    ///
    /// # Errors
    /// Those of looking a name up in a class.
    pub(crate) fn of(object: &Bound<'_, PyAny>, names: &mut Vec<Bound<'_, PyString>>) -> PyResult<Option<Self>> {
        let class = object.get_type();
        let mut offsets = Vec::new();
        let mut others = Vec::new();
        for name in names.drain(..) {
            match slot_offset(&class, &name)? {
                Some(offset) => offsets.push(offset),
                None => others.push(name),
            }
        }
        *names = others;
        offsets.sort_unstable();
        if offsets.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            #[cfg(not(Py_GIL_DISABLED))]
            words: offsets.first().zip(offsets.last()).map_or_else(Box::default, |(first, last)| {
                Self::words(object.as_ptr(), *first, (last - first) / size_of::<usize>() + 1).into()
            }),
            values: offsets.iter().map(|offset| (*offset, slot_value(object, *offset))).collect(),
            object: object.clone().unbind(),
        }))
    }

    /// The memory of an object from one of its slots on, as far as another one.
    #[cfg(not(Py_GIL_DISABLED))]
    #[inline]
    fn words<'a>(object: *mut pyo3::ffi::PyObject, offset: usize, count: usize) -> &'a [usize] {
        // SAFETY: `of` has found a slot there. The class of an object can be replaced only by one that has slots in the
        // same places.
        let words = unsafe { object.byte_add(offset) }.cast::<usize>();
        // SAFETY: slots lie at multiples of a pointer's size, and all between two of them is memory of the object, which
        // was zeroed when it was made. Nobody writes while this is compared or copied: the caller keeps the object alive,
        // and holds the lock of the interpreter.
        unsafe { std::slice::from_raw_parts(words, count) }
    }

    /// Whether each slot holds what it held; if there are others between them, they do, too.
    ///
    /// Read one by one, the attributes of a dependency cost a lookup each; here they are compared where they are.
    #[cfg(not(Py_GIL_DISABLED))]
    #[inline]
    pub(crate) fn are_unchanged(&self) -> bool {
        self.values
            .first()
            .is_none_or(|(first, _)| are_same(Self::words(self.object.as_ptr(), *first, self.words.len()), &self.words))
    }

    #[cfg(Py_GIL_DISABLED)]
    pub(crate) fn are_unchanged(&self) -> bool {
        self.values.iter().all(|(offset, value)| {
            // SAFETY: the object is alive; `of` has found a slot there.
            let slot = unsafe { self.object.as_ptr().byte_add(*offset) }.cast::<*mut pyo3::ffi::PyObject>();
            // SAFETY: an aligned field of a live object. It is read as an atomic, as the interpreter writes it.
            let now = unsafe { AtomicPtr::from_ptr(slot) }.load(Ordering::Acquire);
            now == value.as_ref().map_or(std::ptr::null_mut(), Py::as_ptr)
        })
    }

    pub(crate) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.object)?;
        self.values.iter().try_for_each(|(_, value)| visit.call(value))
    }
}

/// Where the instances of a class keep the attribute of a slot, in bytes from their start; none for another attribute.
fn slot_offset(class: &Bound<'_, PyType>, name: &Bound<'_, PyString>) -> PyResult<Option<usize>> {
    for base in class.mro().iter() {
        let own = base.getattr(pyo3::intern!(class.py(), "__dict__"))?;
        if !own.contains(name)? {
            continue;
        }
        let found = own.get_item(name)?;
        if found.get_type_ptr() != &raw mut pyo3::ffi::PyMemberDescr_Type {
            return Ok(None);
        }
        let descriptor = found.as_ptr().cast::<pyo3::ffi::PyMemberDescrObject>();
        // SAFETY: the object is exactly a member descriptor, whose layout this is, and `found` keeps it alive.
        let owner = unsafe { (*descriptor).d_common.d_type };
        // SAFETY: the same.
        let member = unsafe { (*descriptor).d_member };
        // SAFETY: a descriptor keeps its class alive, and with that its members.
        let member = unsafe { *member };
        // SAFETY: two live classes.
        let is_inherited = unsafe { pyo3::ffi::PyType_IsSubtype(class.as_type_ptr(), owner) } != 0;
        let is_slot = is_inherited && member.type_code == pyo3::ffi::Py_T_OBJECT_EX;
        return Ok(usize::try_from(member.offset).ok().filter(|_| is_slot));
    }
    Ok(None)
}

/// What the slot holds that [`slot_offset`] has found in the class of this object.
fn slot_value(object: &Bound<'_, PyAny>, offset: usize) -> Option<Py<PyAny>> {
    with_critical_section(object, || {
        // SAFETY: the place of a slot in a live object, by the promise of who calls.
        let slot = unsafe { object.as_ptr().byte_add(offset) }.cast::<*mut pyo3::ffi::PyObject>();
        // SAFETY: as above.
        let value = unsafe { *slot };
        // SAFETY: null, or an object that the slot keeps alive until the section ends.
        let value = unsafe { Bound::from_borrowed_ptr_or_opt(object.py(), value) };
        value.map(Bound::unbind)
    })
}

/// Whether two stretches of memory hold the same; of a few words the call of `memcmp` costs more than they do.
#[cfg(not(Py_GIL_DISABLED))]
#[inline]
fn are_same(now: &[usize], then: &[usize]) -> bool {
    if then.len() <= 4 { now.iter().eq(then) } else { now == then }
}

/// What a list held.
#[derive(Debug)]
pub(crate) struct Items {
    list: Py<PyList>,
    items: Box<[Py<PyAny>]>,
}

impl Items {
    /// What it holds now.
    pub(crate) fn of(list: &Bound<'_, PyList>) -> Self {
        Self { list: list.clone().unbind(), items: list.iter().map(Bound::unbind).collect() }
    }

    /// Whether it is this list's.
    pub(crate) fn is_of(&self, list: &Bound<'_, PyAny>) -> bool {
        self.list.is(list)
    }

    /// Whether it holds the same objects in the same order.
    ///
    /// Its items are compared by address where they are; a copy of the list for each request would cost an allocation.
    #[cfg(not(Py_GIL_DISABLED))]
    #[inline]
    pub(crate) fn are_unchanged(&self, _py: Python<'_>) -> bool {
        let list = self.list.as_ptr().cast::<pyo3::ffi::PyListObject>();
        // SAFETY: the object is a live list, and the lock of the interpreter keeps those away who change it.
        let length = unsafe { (*list).ob_base.ob_size };
        if usize::try_from(length) != Ok(self.items.len()) {
            return false;
        }
        if self.items.is_empty() {
            return true;
        }
        // SAFETY: the same.
        let now = unsafe { (*list).ob_item }.cast::<usize>();
        // SAFETY: a list that is not empty has an array of that many items.
        let now = unsafe { std::slice::from_raw_parts(now, self.items.len()) };
        // SAFETY: a reference is one pointer.
        let then = unsafe { std::slice::from_raw_parts(self.items.as_ptr().cast::<usize>(), self.items.len()) };
        are_same(now, then)
    }

    #[cfg(Py_GIL_DISABLED)]
    pub(crate) fn are_unchanged(&self, py: Python<'_>) -> bool {
        let list = self.list.bind(py);
        list.len() == self.items.len() && list.iter().zip(&self.items).all(|(now, then)| now.is(then))
    }

    pub(crate) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.list)?;
        self.items.iter().try_for_each(|item| visit.call(item))
    }
}

/// One entry of a dict.
pub(crate) struct DictEntry<'a, 'py> {
    pub(crate) key: Borrowed<'a, 'py, PyAny>,
    pub(crate) value: Borrowed<'a, 'py, PyAny>,
    /// The position of the next one.
    pub(crate) next: isize,
}

/// The entry of a dict at a position, or the first one behind it; none if there is none.
///
/// It is for whoever keeps the interpreter's lock until the entry is let go, which is why there is none without that lock.
#[cfg(not(Py_GIL_DISABLED))]
#[inline]
pub(crate) fn entry_at<'a, 'py>(dict: &'a Bound<'py, PyDict>, position: isize) -> Option<DictEntry<'a, 'py>> {
    let mut next = position;
    let mut key = std::ptr::null_mut();
    let mut value = std::ptr::null_mut();
    // SAFETY: the object is a live dict. The function compares the position with how many entries there are, and gives
    // nothing for one that is negative or too large.
    let is_found = unsafe { pyo3::ffi::PyDict_Next(dict.as_ptr(), &raw mut next, &raw mut key, &raw mut value) } != 0;
    if !is_found {
        return None;
    }
    // SAFETY: it has set both to references that the dict owns.
    let key = unsafe { Borrowed::from_ptr(dict.py(), key) };
    // SAFETY: the same.
    let value = unsafe { Borrowed::from_ptr(dict.py(), value) };
    Some(DictEntry { key, value, next })
}

#[cfg(Py_GIL_DISABLED)]
pub(crate) fn entry_at<'a, 'py>(_dict: &'a Bound<'py, PyDict>, _position: isize) -> Option<DictEntry<'a, 'py>> {
    None
}

/// A dict's version: another one whenever the dict was modified, none where the interpreter does not say.
///
/// Measured: five lookups in modules a request cost 630 instructions, one version of each module 20.
#[cfg(not(any(Py_3_14, Py_GIL_DISABLED)))]
#[inline]
pub(crate) fn dict_version(dict: &Bound<'_, PyDict>) -> Option<NonZeroU64> {
    let dict = dict.as_ptr().cast::<pyo3::ffi::PyDictObject>();
    // SAFETY: the object is a live dict, whose layout this is, and the lock of the interpreter keeps others out.
    #[allow(deprecated, reason = "it is deprecated from 3.12 on, and gone from 3.14 on")]
    let version = unsafe { (*dict).ma_version_tag };
    NonZeroU64::new(version)
}

#[cfg(any(Py_3_14, Py_GIL_DISABLED))]
pub(crate) fn dict_version(_dict: &Bound<'_, PyDict>) -> Option<NonZeroU64> {
    None
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

/// Set a key of a dict that has it not.
///
/// Measured: a look and a write cost 290 instructions, this 190.
///
/// # Errors
/// Those of hashing and comparing keys.
#[inline]
pub(crate) fn set_default(
    dict: &Bound<'_, PyDict>,
    key: &Bound<'_, PyString>,
    value: &Bound<'_, PyAny>,
) -> PyResult<()> {
    // SAFETY: three live borrowed references; the result is borrowed too, or null with an exception set.
    let kept = unsafe { pyo3::ffi::PyDict_SetDefault(dict.as_ptr(), key.as_ptr(), value.as_ptr()) };
    if kept.is_null() { Err(PyErr::fetch(dict.py())) } else { Ok(()) }
}

/// A dict's next entry; `position` is 0 for the first, and otherwise what the call before left there.
///
/// Measured: without `PyO3`'s own count of what is left, an entry takes 40 instructions less of 300.
#[inline]
pub(crate) fn next_entry<'py>(
    dict: &Bound<'py, PyDict>,
    position: &mut isize,
) -> Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    with_critical_section(dict, || {
        let (mut key, mut value) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: the dict is live, and the pointers are to places of this function. A position that is out of date,
        // since the dict was changed, finds another entry or none.
        if unsafe { pyo3::ffi::PyDict_Next(dict.as_ptr(), position, &raw mut key, &raw mut value) } == 0 {
            return None;
        }
        // SAFETY: a borrowed reference to the key of an entry that is there until the section ends.
        let key = unsafe { Borrowed::from_ptr(dict.py(), key) }.to_owned();
        // SAFETY: the same for its value.
        let value = unsafe { Borrowed::from_ptr(dict.py(), value) }.to_owned();
        Some((key, value))
    })
}

/// The value of a dict's next entry, if its key is this very object.
///
/// `position` is 0 for the first entry, and otherwise what the call before left there.
#[inline]
pub(crate) fn next_value<'py>(
    dict: &Bound<'py, PyDict>,
    position: &mut isize,
    key: &Py<PyString>,
) -> Option<Bound<'py, PyAny>> {
    with_critical_section(dict, || {
        let (mut found, mut value) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: the dict is live, and the pointers are to places of this function. A position that is out of date,
        // since the dict was changed, finds another entry or none.
        let more = unsafe { pyo3::ffi::PyDict_Next(dict.as_ptr(), position, &raw mut found, &raw mut value) };
        if more == 0 || found != key.as_ptr() {
            return None;
        }
        // SAFETY: a borrowed reference to the value of an entry that is there until the section ends.
        Some(unsafe { Borrowed::from_ptr(dict.py(), value) }.to_owned())
    })
}

/// An object that is looked at where it is: no reference is held, and nothing here can run Python code.
#[derive(Clone, Copy)]
pub(crate) struct Peeked<'a>(*mut pyo3::ffi::PyObject, PhantomData<&'a ()>);

/// What a looked-at value of a type of JSON's is.
pub(crate) enum Scalar<'a> {
    Text(&'a str),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    None,
    /// A string or an integer that only the interpreter reads.
    Rare,
    Other,
}

impl<'a> Peeked<'a> {
    /// Looks at an object as long as its reference is there.
    #[inline]
    pub(crate) fn of<T>(object: &'a Bound<'_, T>) -> Self {
        Peeked(object.as_ptr(), PhantomData)
    }

    #[inline]
    pub(crate) fn address(self) -> usize {
        self.0.addr()
    }

    #[inline]
    fn is_exactly(self, class: *mut pyo3::ffi::PyTypeObject) -> bool {
        // SAFETY: the object is alive, by the promise of who made this.
        unsafe { pyo3::ffi::Py_TYPE(self.0) == class }
    }

    /// The characters of exactly a `str`, if they are there as UTF-8.
    #[inline]
    pub(crate) fn text(self) -> Option<&'a str> {
        if self.is_exactly(&raw mut pyo3::ffi::PyUnicode_Type) { self.utf8() } else { None }
    }

    /// The characters of a string of ASCII.
    ///
    /// Measured: a call to the interpreter takes 30 instructions a string, this 10.
    #[cfg(not(any(Py_3_14, Py_GIL_DISABLED)))]
    #[inline]
    fn utf8(self) -> Option<&'a str> {
        // SAFETY: a live object that is exactly a `str`; what is read does not change.
        if unsafe { pyo3::ffi::PyUnicode_IS_COMPACT_ASCII(self.0) } == 0 {
            return None;
        }
        // SAFETY: the same.
        let length = unsafe { pyo3::ffi::PyUnicode_GET_LENGTH(self.0) };
        // SAFETY: a string of ASCII has one byte a character, in itself.
        let data = unsafe { pyo3::ffi::PyUnicode_1BYTE_DATA(self.0) };
        #[expect(clippy::cast_sign_loss, reason = "a length is not negative")]
        // SAFETY: that many bytes are there, never change, and go with the object.
        let bytes = unsafe { std::slice::from_raw_parts(data, length as usize) };
        // SAFETY: ASCII is UTF-8.
        Some(unsafe { std::str::from_utf8_unchecked(bytes) })
    }

    /// The characters, where the layout of strings is not known.
    #[cfg(all(Py_3_14, not(Py_GIL_DISABLED)))]
    #[inline]
    fn utf8(self) -> Option<&'a str> {
        let mut length = 0;
        // SAFETY: a live object that is exactly a `str`; encoding it runs no Python code.
        let data = unsafe { pyo3::ffi::PyUnicode_AsUTF8AndSize(self.0, &raw mut length) };
        if data.is_null() {
            // SAFETY: called with the lock of the interpreter, as all here is.
            unsafe { pyo3::ffi::PyErr_Clear() };
            return None;
        }
        #[expect(clippy::cast_sign_loss, reason = "a length is not negative")]
        // SAFETY: that many bytes are there, never change, and go with the object.
        let bytes = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), length as usize) };
        // SAFETY: what the interpreter encoded is UTF-8.
        Some(unsafe { std::str::from_utf8_unchecked(bytes) })
    }

    /// Without that lock encoding a string may let others in, who take the string away: it takes a reference.
    #[cfg(Py_GIL_DISABLED)]
    #[expect(clippy::unused_self, reason = "stands for the functions above")]
    fn utf8(self) -> Option<&'a str> {
        None
    }

    /// The value, if it is of exactly the type `str`, `int`, `float`, `bool` or `NoneType`.
    #[expect(clippy::inline_always, reason = "what is made here is taken apart at once")]
    #[inline(always)]
    pub(crate) fn scalar(self) -> Scalar<'a> {
        if self.is_exactly(&raw mut pyo3::ffi::PyUnicode_Type) {
            self.utf8().map_or(Scalar::Rare, Scalar::Text)
        } else if self.is_exactly(&raw mut pyo3::ffi::PyLong_Type) {
            let mut overflow = 0;
            // SAFETY: a live object that is exactly an `int`, of which nothing is called.
            let number = unsafe { pyo3::ffi::PyLong_AsLongLongAndOverflow(self.0, &raw mut overflow) };
            if overflow == 0 { Scalar::Integer(number) } else { Scalar::Rare }
        } else if self.is_exactly(&raw mut pyo3::ffi::PyFloat_Type) {
            // SAFETY: a live object that is exactly a `float`.
            Scalar::Float(unsafe { pyo3::ffi::PyFloat_AS_DOUBLE(self.0) })
        } else if self.is_exactly(&raw mut pyo3::ffi::PyBool_Type) {
            // SAFETY: it only returns a pointer.
            Scalar::Boolean(self.0 == unsafe { pyo3::ffi::Py_True() })
        // SAFETY: it only returns a pointer.
        } else if self.0 == unsafe { pyo3::ffi::Py_None() } {
            Scalar::None
        } else {
            Scalar::Other
        }
    }
}

/// What follows on an entry that was shown.
pub(crate) enum Visit {
    Next,
    /// The entry is taken out, with references.
    Take,
    Leave,
}

/// Shows a dict's entries, from `position` on, to `visit` until it says otherwise; the entry that it takes is returned.
///
/// `position` is 0 for the first entry, and otherwise what the call before left there. What can be sent to another
/// thread has no way to call Python; so no entry can go away while `visit` looks at it.
///
/// Measured: references to the key and the value, and a call for each entry, cost 25 instructions of 140.
#[expect(clippy::inline_always, reason = "once, where entries are written")]
#[inline(always)]
pub(crate) fn visit_entries<'py>(
    dict: &Bound<'py, PyDict>,
    position: &mut isize,
    mut visit: impl FnMut(Peeked<'_>, Peeked<'_>) -> Visit + Send,
) -> Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let py = dict.py();
    with_critical_section(dict, || {
        let (mut key, mut value) = (std::ptr::null_mut(), std::ptr::null_mut());
        loop {
            // SAFETY: the dict is live, and the pointers are to places of this function. A position that is out of
            // date, since the dict was changed, finds another entry or none.
            if unsafe { pyo3::ffi::PyDict_Next(dict.as_ptr(), position, &raw mut key, &raw mut value) } == 0 {
                return None;
            }
            match visit(Peeked(key, PhantomData), Peeked(value, PhantomData)) {
                Visit::Next => {}
                Visit::Take => {
                    // SAFETY: a borrowed reference to the key of an entry that is there until the section ends.
                    let key = unsafe { Borrowed::from_ptr(py, key) }.to_owned();
                    // SAFETY: the same for its value.
                    let value = unsafe { Borrowed::from_ptr(py, value) }.to_owned();
                    return Some((key, value));
                }
                Visit::Leave => return None,
            }
        }
    })
}
