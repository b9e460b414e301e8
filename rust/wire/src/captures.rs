//! The parameter texts of one match, borrowed from the path, in the template's order.
//! Filled by [`crate::template`]; holds no names: those are the template's.
use smallvec::SmallVec;

/// Up to this many texts are held without an allocation.
const INLINE: usize = 4;

/// The text of each parameter of a template, in the order in which the template names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captures<'p> {
    texts: SmallVec<[&'p str; INLINE]>,
}

impl<'p> Captures<'p> {
    pub(crate) fn push(&mut self, text: &'p str) {
        self.texts.push(text);
    }

    /// The texts in the template's order.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'p str> + '_ {
        self.texts.iter().copied()
    }
}
