//! The keys of an array's objects, the same strings from one object to the next: each is read and escaped once.
//! A place for each of some keys, found by the object's address; another key with the same place takes it over.
use pyo3::prelude::*;
use pyo3::types::PyString;

/// Places, a power of two.
const PLACES: usize = 32;

/// What is kept of the keys seen lately.
#[derive(Default)]
pub(super) struct Keys {
    places: [Option<Known>; PLACES],
}

struct Known {
    /// Held, so that no other string can come to its address.
    key: Py<PyString>,
    /// A comma, the quoted key, a colon.
    text: Vec<u8>,
}

impl Keys {
    fn place(key: &Bound<'_, PyAny>) -> usize {
        // Objects are aligned to 16 bytes.
        let address = key.as_ptr().addr() >> 4;
        (address ^ (address >> 5)) % PLACES
    }

    /// What is written before the value of `key`: a comma, the key, a colon.
    #[inline]
    pub(super) fn find(&self, key: &Bound<'_, PyAny>) -> Option<&[u8]> {
        let known = self.places.get(Self::place(key))?.as_ref()?;
        (known.key.as_ptr() == key.as_ptr()).then_some(&known.text)
    }

    /// Keep the text of a key.
    pub(super) fn keep(&mut self, key: &Bound<'_, PyString>, text: &str) {
        if let Some(place) = self.places.get_mut(Self::place(key)) {
            let mut written = Vec::with_capacity(text.len() + 4);
            written.push(b',');
            wire::json::write_str(text, &mut written);
            written.push(b':');
            *place = Some(Known { key: key.clone().unbind(), text: written });
        }
    }
}
