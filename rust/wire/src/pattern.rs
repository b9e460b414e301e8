//! A row of literals and parameters against a whole text, with the captures a greedy regular expression would give.
//! Used for the pieces of a template that plain segments cannot express; linear in text and parts, whatever the path.
use crate::captures::Captures;
use crate::convertor::{Convertor, MOST_DIGITS, uuid_length};
use smallvec::SmallVec;

/// One piece of a template.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Piece {
    Literal(Box<str>),
    Parameter(Convertor),
}

/// Parts that together have to cover a whole text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pattern {
    parts: Box<[Piece]>,
}

/// What is left to match once the literals at both ends are off.
enum Inner<'t, 'a> {
    Nothing,
    One(Convertor, &'t str),
    Many(&'a [Piece], &'t str),
}

impl Pattern {
    pub(crate) fn new(parts: Vec<Piece>) -> Self {
        Self { parts: parts.into() }
    }

    /// Whether the pattern covers the text.
    pub(crate) fn matches(&self, text: &str) -> bool {
        match self.strip_ends(text) {
            None => false,
            Some(Inner::Nothing) => true,
            Some(Inner::One(convertor, rest)) => convertor.accepts(rest),
            Some(Inner::Many(parts, rest)) if are_free(parts, rest) => last_starts(parts, rest).is_some(),
            Some(Inner::Many(parts, rest)) => Ends::of(parts, rest).is_reachable(),
        }
    }

    /// Adds the text of each parameter, if the pattern covers the text; says whether it does.
    pub(crate) fn capture<'p>(&self, text: &'p str, captures: &mut Captures<'p>) -> bool {
        match self.strip_ends(text) {
            None => false,
            Some(Inner::Nothing) => true,
            Some(Inner::One(convertor, rest)) => {
                let accepted = convertor.accepts(rest);
                if accepted {
                    captures.push(rest);
                }
                accepted
            }
            Some(Inner::Many(parts, rest)) if are_free(parts, rest) => {
                last_starts(parts, rest).is_some_and(|starts| {
                    // Each goes up to the last position where what is after it can start.
                    let end = |index: usize| starts.get(index + 1).copied().unwrap_or(rest.len());
                    capture_each(parts, rest, captures, |index, _, _| end(index))
                })
            }
            Some(Inner::Many(parts, rest)) => Ends::of(parts, rest).capture(parts, rest, captures),
        }
    }

    /// Takes the literals off both ends, which leaves the usual pattern with one parameter and no choice.
    fn strip_ends<'t>(&self, text: &'t str) -> Option<Inner<'t, '_>> {
        let mut parts = &*self.parts;
        let mut rest = text;
        if let [Piece::Literal(literal), after @ ..] = parts {
            rest = rest.strip_prefix(&**literal)?;
            parts = after;
        }
        if let [before @ .., Piece::Literal(literal)] = parts {
            rest = rest.strip_suffix(&**literal)?;
            parts = before;
        }
        match parts {
            [] => rest.is_empty().then_some(Inner::Nothing),
            [Piece::Parameter(convertor)] => Some(Inner::One(*convertor, rest)),
            many => Some(Inner::Many(many, rest)),
        }
    }
}

/// Whether each parameter is a text of any characters, and none meets the one character that it stops at.
///
/// Then a parameter that can begin at a position can begin at each earlier one, so that only the last one is of interest.
fn are_free(parts: &[Piece], text: &str) -> bool {
    parts.iter().all(|part| match part {
        Piece::Literal(_) => true,
        Piece::Parameter(Convertor::Str) => memchr::memchr(b'/', text.as_bytes()).is_none(),
        Piece::Parameter(Convertor::Path) => memchr::memchr(b'\n', text.as_bytes()).is_none(),
        Piece::Parameter(Convertor::Int | Convertor::Float | Convertor::Uuid) => false,
    })
}

/// For each part, the last position from which it and all parts after it cover the rest of the text, if they can.
///
/// It is where a greedy group before the part ends, if the parameters are free.
fn last_starts(parts: &[Piece], text: &str) -> Option<SmallVec<[usize; 8]>> {
    let mut rest = text;
    let mut starts = SmallVec::new();
    for part in parts.iter().rev() {
        let start = match part {
            Piece::Literal(literal) => memchr::memmem::rfind(rest.as_bytes(), literal.as_bytes()),
            Piece::Parameter(Convertor::Path) => Some(rest.len()),
            Piece::Parameter(_) => rest.char_indices().next_back().map(|(start, _)| start),
        };
        rest = rest.get(..start?)?;
        starts.push(rest.len());
    }
    starts.reverse();
    Some(starts)
}

/// Takes the text part by part and adds that of each parameter; `end` says where the part of this index ends.
///
/// It is given the convertor of the parameter and where it starts, too.
fn capture_each<'p>(
    parts: &[Piece],
    text: &'p str,
    captures: &mut Captures<'p>,
    end: impl Fn(usize, Convertor, usize) -> usize,
) -> bool {
    let mut rest = text;
    for (index, part) in parts.iter().enumerate() {
        let start = text.len() - rest.len();
        let length = match part {
            Piece::Literal(literal) => literal.len(),
            Piece::Parameter(convertor) => end(index, *convertor, start).saturating_sub(start),
        };
        let Some((taken, left)) = rest.split_at_checked(length) else {
            return false;
        };
        if matches!(part, Piece::Parameter(_)) {
            captures.push(taken);
        }
        rest = left;
    }
    true
}

/// For each part, the positions from which it and all parts after it can cover the rest of the text.
///
/// A regular expression finds the same by trying and going back, which can take time exponential in the number of
/// parameters; here each part takes one pass over the text.
struct Ends {
    /// One row of `width` flags a part, and a last one with only the end of the text set.
    flags: Vec<bool>,
    width: usize,
}

impl Ends {
    fn of(parts: &[Piece], text: &str) -> Self {
        let width = text.len() + 1;
        let mut flags = vec![false; width * (parts.len() + 1)];
        if let Some(end) = flags.last_mut() {
            *end = true;
        }
        let mut rows = flags.chunks_exact_mut(width).rev();
        if let Some(mut after) = rows.next() {
            for (row, part) in rows.zip(parts.iter().rev()) {
                match part {
                    Piece::Literal(literal) => fill_literal(literal, text, after, row),
                    Piece::Parameter(convertor) => fill_parameter(*convertor, text, after, row),
                }
                // Nothing leads to the end from here, so nothing before does.
                if !row.contains(&true) {
                    break;
                }
                after = row;
            }
        }
        Self { flags, width }
    }

    fn is_reachable(&self) -> bool {
        self.flags.first().copied().unwrap_or_default()
    }

    /// Takes, part by part, the longest text that lets the others match: what a greedy group captures.
    fn capture<'p>(&self, parts: &[Piece], text: &'p str, captures: &mut Captures<'p>) -> bool {
        if !self.is_reachable() {
            return false;
        }
        capture_each(parts, text, captures, |index, convertor, start| {
            let after = self.flags.chunks_exact(self.width).nth(index + 1).unwrap_or_default();
            let rest = text.as_bytes().get(start..).unwrap_or_default();
            start + longest(convertor, rest, after.get(start..).unwrap_or_default())
        })
    }
}

fn fill_literal(literal: &str, text: &str, after: &[bool], row: &mut [bool]) {
    let windows = text.as_bytes().windows(literal.len());
    let ends = after.get(literal.len()..).unwrap_or_default();
    for ((flag, window), reachable) in row.iter_mut().zip(windows).zip(ends) {
        *flag = *reachable && window == literal.as_bytes();
    }
}

/// Sets the positions from which the convertor accepts some text that ends where `after` is set.
fn fill_parameter(convertor: Convertor, text: &str, after: &[bool], row: &mut [bool]) {
    let bytes = text.as_bytes();
    if convertor == Convertor::Uuid {
        for (start, flag) in row.iter_mut().enumerate() {
            let length = bytes.get(start..).and_then(uuid_length);
            *flag = length.and_then(|length| after.get(start + length)).copied().unwrap_or_default();
        }
        return;
    }
    let end = after.last().copied().unwrap_or_default();
    // `open`: the parameter can go on from the next byte to a good end. `digits`, `fraction`: the same for the
    // digits after a float's point, and for the point with them. `distance`: how far an integer's nearest good end is.
    let (mut open, mut digits, mut fraction, mut distance) = (false, false, false, 0);
    match convertor {
        Convertor::Str => fill_backwards(text, after, row, |byte, next_is_end, _| {
            open = byte != b'/' && (next_is_end || open);
            open
        }),
        Convertor::Path => {
            open = end;
            if let Some(flag) = row.last_mut() {
                *flag = end;
            }
            fill_backwards(text, after, row, |byte, _, is_end| {
                open = is_end || (byte != b'\n' && open);
                open
            });
        }
        Convertor::Int => fill_backwards(text, after, row, |byte, next_is_end, _| {
            distance = if next_is_end { 1 } else { distance + 1 };
            open = byte.is_ascii_digit() && (next_is_end || open) && distance <= MOST_DIGITS;
            open
        }),
        Convertor::Float => fill_backwards(text, after, row, |byte, next_is_end, _| {
            let next_fraction = byte == b'.' && digits;
            open = byte.is_ascii_digit() && (next_is_end || open || fraction);
            digits = byte.is_ascii_digit() && (next_is_end || digits);
            fraction = next_fraction;
            open
        }),
        Convertor::Uuid => {}
    }
}

/// Sets the flag of each position, from the last to the first, as `step` says of its byte, and of whether a good end
/// is behind the byte and before it.
fn fill_backwards(text: &str, after: &[bool], row: &mut [bool], mut step: impl FnMut(u8, bool, bool) -> bool) {
    let mut next_is_end = after.last().copied().unwrap_or_default();
    for ((flag, byte), is_end) in row.iter_mut().zip(text.as_bytes()).zip(after).rev() {
        // A continuation byte of UTF-8 begins no text.
        *flag = step(*byte, next_is_end, *is_end) && *byte & 0xC0 != 0x80;
        next_is_end = *is_end;
    }
}

/// The length of the longest text the convertor accepts at the start of `bytes` that ends where `after` is set.
fn longest(convertor: Convertor, bytes: &[u8], after: &[bool]) -> usize {
    let limit = match convertor {
        Convertor::Str => memchr::memchr(b'/', bytes).unwrap_or(bytes.len()),
        Convertor::Path => memchr::memchr(b'\n', bytes).unwrap_or(bytes.len()),
        Convertor::Int => count_digits(bytes).min(MOST_DIGITS),
        Convertor::Float => {
            let whole = count_digits(bytes);
            let fraction = bytes.get(whole..).and_then(|rest| rest.strip_prefix(b".")).map_or(0, count_digits);
            // A point without digits after it is no end, and is never one: the next part would begin at it.
            if fraction > 0 { longest_float(whole, fraction, after) } else { whole }
        }
        Convertor::Uuid => return uuid_length(bytes).unwrap_or_default(),
    };
    after.iter().take(limit + 1).rposition(|end| *end).unwrap_or_default()
}

/// The limit of a float with a fraction: its whole length, or the digits before the point if nothing after it can end.
fn longest_float(whole: usize, fraction: usize, after: &[bool]) -> usize {
    let ends = after.get(whole + 2..=whole + 1 + fraction).unwrap_or_default();
    if ends.contains(&true) { whole + 1 + fraction } else { whole }
}

fn count_digits(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| byte.is_ascii_digit()).count()
}
