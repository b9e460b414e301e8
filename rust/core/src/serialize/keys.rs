//! The keys of an array's objects, the same strings from one object to the next: each is read and escaped once.
//! A few places for the keys of one part of the addresses; when they are taken, another key takes one of them over.
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::ffi::entries::Peeked;

/// Parts of the addresses, a power of two.
const PARTS: usize = 8;
/// Places of a part. With one only, two keys of the same objects that meet would drive each other out all the time.
const PLACES: usize = 4;
/// What is copied at once: most keys with what stands around them are no longer, in bytes.
const SHORT: usize = 32;

/// What is kept of the keys seen lately.
#[derive(Default)]
pub(super) struct Keys {
    places: [[Place; PLACES]; PARTS],
    /// The place that is taken over next, counted over all parts.
    next: usize,
}

#[derive(Default)]
struct Place {
    /// Held, so that no other string can come to its address.
    key: Option<Py<PyString>>,
    /// A comma, the quoted key, a colon: the start of this, or all of `long`.
    short: [u8; SHORT],
    length: usize,
    long: Box<[u8]>,
}

impl Keys {
    fn part(key: Peeked<'_>) -> usize {
        // Objects are aligned to 16 bytes.
        let address = key.address() >> 4;
        (address ^ (address >> 4)) % PARTS
    }

    /// Writes a comma, the key, a colon; `false`, and nothing written, if the key is not known.
    #[inline]
    pub(super) fn write(&self, key: Peeked<'_>, out: &mut Vec<u8>) -> bool {
        let places = self.places.get(Self::part(key));
        let is_it = |place: &&Place| key.address() == place.key.as_ref().map_or(0, |key| key.as_ptr().addr());
        let Some(known) = places.and_then(|places| places.iter().find(is_it)) else { return false };
        if known.length <= SHORT {
            let end = out.len() + known.length;
            out.extend_from_slice(&known.short);
            out.truncate(end);
        } else {
            out.extend_from_slice(&known.long);
        }
        true
    }

    /// Keep the text of a key.
    #[cold]
    #[inline(never)]
    pub(super) fn keep(&mut self, key: &Bound<'_, PyString>, text: &str) {
        let Some(places) = self.places.get_mut(Self::part(Peeked::of(key))) else { return };
        let free = places.iter().position(|place| place.key.is_none());
        self.next = self.next.wrapping_add(1);
        if let Some(place) = places.get_mut(free.unwrap_or(self.next % PLACES)) {
            let mut written = Vec::with_capacity(text.len() + 4);
            written.push(b',');
            wire::json::write_str(text, &mut written);
            written.push(b':');
            let length = written.len();
            let mut short = [0; SHORT];
            if let Some(start) = short.get_mut(..length) {
                start.copy_from_slice(&written);
                written.clear();
            }
            *place = Place { key: Some(key.clone().unbind()), short, length, long: written.into_boxed_slice() };
        }
    }
}
