//! What objects hold in slots and lists, compared with what they held.
#![expect(unsafe_code, reason = "PyO3 has no way to look at slots without running the code of their descriptors")]

#[cfg(Py_GIL_DISABLED)]
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::prelude::*;
use pyo3::sync::critical_section::with_critical_section;
use pyo3::types::{PyList, PyString, PyType, PyTypeMethods};
use pyo3::{PyTraverseError, PyVisit};

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

/// The memory of an object of a class that is written in C, as it was: its count of references, its type and its fields.
///
/// Objects that fields point to may have changed while the fields have not: whoever compares keeps and asks them. So may
/// its attributes and weak references, which newer versions of Python have in front of it.
/// Measured: to ask a task for six of its properties takes 650 instructions, to compare its 25 words 60.
#[cfg(reused_tasks)]
#[derive(Debug)]
pub(crate) struct Fields(Box<[usize]>);

#[cfg(reused_tasks)]
impl Fields {
    /// What it holds now; none of an object of a class that is written in Python.
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> Option<Self> {
        Self::words(object).map(|words| Self(words.into()))
    }

    #[inline]
    fn words<'a>(object: &'a Bound<'_, PyAny>) -> Option<&'a [usize]> {
        // SAFETY: the class of a live object is alive, and written to only by who holds the lock of the interpreter.
        let class = unsafe { object.get_type_ptr().as_ref() }?;
        let address = |allocate: pyo3::ffi::allocfunc| allocate as *const ();
        let is_zeroed = class.tp_alloc.map(address) == Some(address(pyo3::ffi::PyType_GenericAlloc));
        let is_whole = class.tp_flags & pyo3::ffi::Py_TPFLAGS_IMMUTABLETYPE != 0 && class.tp_itemsize == 0;
        let size = usize::try_from(class.tp_basicsize).ok()?;
        if !is_zeroed || !is_whole || size % size_of::<usize>() != 0 {
            return None;
        }
        let first = object.as_ptr().cast::<usize>();
        // SAFETY: an object has as many bytes as its class says, aligned as pointers are. By the check of `tp_alloc` they
        // were zeroed when it was made, so that all are initialized. Nobody writes while they are compared or copied: the
        // reference keeps the object alive, and the lock of the interpreter keeps others out.
        Some(unsafe { std::slice::from_raw_parts(first, size / size_of::<usize>()) })
    }

    /// Whether all of it is as it was.
    #[inline]
    pub(crate) fn are_unchanged(&self, object: &Bound<'_, PyAny>) -> bool {
        Self::words(object).is_some_and(|words| *words == *self.0)
    }
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
