//! The keys of an array's objects, the same strings from one object to the next: each is read and escaped once.
//! A few places for the keys of one part of the addresses; when they are taken, another key takes one of them over.
use pyo3::prelude::*;
use pyo3::types::PyString;

/// Parts of the addresses, a power of two.
const PARTS: usize = 8;
/// Places of a part. With one only, two keys of the same objects that meet would drive each other out all the time.
const PLACES: usize = 4;

/// What is kept of the keys seen lately.
#[derive(Default)]
pub(super) struct Keys {
    places: [[Option<Known>; PLACES]; PARTS],
    /// The place that is taken over next, counted over all parts.
    next: usize,
}

struct Known {
    /// Held, so that no other string can come to its address.
    key: Py<PyString>,
    /// A comma, the quoted key, a colon.
    text: Vec<u8>,
}

impl Keys {
    fn part(key: &Bound<'_, PyAny>) -> usize {
        // Objects are aligned to 16 bytes.
        let address = key.as_ptr().addr() >> 4;
        (address ^ (address >> 4)) % PARTS
    }

    /// What is written before the value of `key`: a comma, the key, a colon.
    #[inline]
    pub(super) fn find(&self, key: &Bound<'_, PyAny>) -> Option<&[u8]> {
        let places = self.places.get(Self::part(key))?;
        let known = places.iter().flatten().find(|known| known.key.as_ptr() == key.as_ptr())?;
        Some(&known.text)
    }

    /// Keep the text of a key.
    #[cold]
    #[inline(never)]
    pub(super) fn keep(&mut self, key: &Bound<'_, PyString>, text: &str) {
        let Some(places) = self.places.get_mut(Self::part(key)) else { return };
        let free = places.iter().position(Option::is_none);
        self.next = self.next.wrapping_add(1);
        if let Some(place) = places.get_mut(free.unwrap_or(self.next % PLACES)) {
            let mut written = Vec::with_capacity(text.len() + 4);
            written.push(b',');
            wire::json::write_str(text, &mut written);
            written.push(b':');
            *place = Some(Known { key: key.clone().unbind(), text: written });
        }
    }
}
