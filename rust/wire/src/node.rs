//! The tree of segments: which routes a path could mean, without asking each of them.
//! Every leaf keeps its registration index, so that the answer is the one a scan of the list in order would give.
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use crate::convertor::Convertor;
use crate::pattern::Pattern;
use crate::template::{Segment, Template, split_segment};

/// A place in the tree: all segments so far are consumed.
#[derive(Debug, Default)]
pub(crate) struct TreeNode {
    /// Routes whose template ends here, ascending.
    leaves: Vec<usize>,
    literals: HashMap<Box<str>, TreeNode, BuildHasherDefault<WordHasher>>,
    parameters: BTreeMap<Convertor, TreeNode>,
    mixed: BTreeMap<Pattern, TreeNode>,
    /// Routes that from here on match any number of segments, ascending.
    tails: Vec<(Pattern, usize)>,
    /// The lowest index in this node and below it.
    first: usize,
}

/// Receives the indexes a search finds and says how far it still has to look.
pub(crate) trait Search {
    /// Whether this index, or a higher one, could still change the answer.
    fn wants(&self, first: usize) -> bool;
    /// Takes an index whose template matches the path.
    fn found(&mut self, index: usize);
}

impl TreeNode {
    /// Adds a template; indexes have to come in ascending order.
    pub(crate) fn insert(&mut self, template: &Template, index: usize) {
        let mut node = self;
        for segment in &template.segments {
            let new = || Self { first: index, ..Self::default() };
            node = match segment {
                Segment::Literal(literal) => node.literals.entry(literal.clone()).or_insert_with(new),
                Segment::Parameter(convertor) => node.parameters.entry(*convertor).or_insert_with(new),
                Segment::Mixed(pattern) => node.mixed.entry(pattern.clone()).or_insert_with(new),
            };
        }
        match &template.tail {
            Some(tail) => node.tails.push((tail.clone(), index)),
            None => node.leaves.push(index),
        }
    }

    /// Reports the indexes below this node whose templates match `rest`; `None` means that the path is consumed.
    ///
    /// Each node is visited at most once: its depth fixes the segment it looks at.
    pub(crate) fn search(&self, rest: Option<&str>, search: &mut impl Search) {
        if !search.wants(self.first) {
            return;
        }
        let Some(rest) = rest else {
            return self.leaves.iter().for_each(|index| offer(*index, search, || true));
        };
        let (segment, after) = split_segment(rest);
        if let Some(node) = self.literals.get(segment) {
            node.search(after, search);
        }
        for (convertor, node) in &self.parameters {
            if search.wants(node.first) && convertor.accepts(segment) {
                node.search(after, search);
            }
        }
        for (pattern, node) in &self.mixed {
            if search.wants(node.first) && pattern.matches(segment) {
                node.search(after, search);
            }
        }
        for (pattern, index) in &self.tails {
            offer(*index, search, || pattern.matches(rest));
        }
    }
}

fn offer(index: usize, search: &mut impl Search, matches: impl FnOnce() -> bool) {
    if search.wants(index) && matches() {
        search.found(index);
    }
}

/// Hashes eight bytes at a time.
///
/// The keys are the application's own paths, so a client can look for a collision but never add one.
#[derive(Debug, Default)]
pub(crate) struct WordHasher(u64);

/// An odd number whose product spreads low bits over high ones (2^64 divided by the golden ratio).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl WordHasher {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(SPREAD);
    }
}

impl Hasher for WordHasher {
    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in words.by_ref() {
            self.add(word.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)));
        }
        let rest = words.remainder();
        if !rest.is_empty() {
            self.add(rest.iter().fold(1, |sum, byte| (sum << 8) | u64::from(*byte)));
        }
    }

    fn finish(&self) -> u64 {
        // The table takes its buckets from the low bits, and its tags from the highest seven.
        self.0 ^ (self.0 >> 32)
    }
}
