//! A text as a JSON string.
//! Copies in bulk what needs no escape; writes valid UTF-8 as it is.

/// Bytes looked at together; a whole number of vector registers.
const BLOCK: usize = 32;

/// Appends the text in quotes, escaped.
///
/// Source: `json.dumps(text, ensure_ascii=False)`; pydantic's `to_json` prints the same.
#[inline]
pub fn write_str(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    if !is_clean(bytes) {
        return write_escaped(bytes, out);
    }
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    out.extend_from_slice(bytes);
    out.push(b'"');
}

#[cold]
#[inline(never)]
fn write_escaped(bytes: &[u8], out: &mut Vec<u8>) {
    let mut rest = bytes;
    out.reserve(rest.len() + 2);
    out.push(b'"');
    loop {
        let (clean, after) = rest.split_at_checked(clean_length(rest)).unwrap_or((rest, &[]));
        out.extend_from_slice(clean);
        let Some((byte, after)) = after.split_first() else {
            break;
        };
        write_escape(*byte, out);
        rest = after;
    }
    out.push(b'"');
}

/// Whether nothing in the text needs an escape; looks at eight bytes together, at the last eight twice if need be.
fn is_clean(bytes: &[u8]) -> bool {
    if bytes.len() >= BLOCK {
        return clean_length(bytes) == bytes.len();
    }
    if let Some(last) = bytes.last_chunk::<8>() {
        let mut words = bytes.chunks_exact(8).filter_map(|word| word.first_chunk::<8>());
        return words.all(|word| is_clean_word(u64::from_le_bytes(*word))) && is_clean_word(u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        return is_clean_word(u64::from(first) << 32 | u64::from(last));
    }
    !bytes.iter().any(|byte| needs_escape(*byte))
}

/// The same for eight bytes: the high bit of a byte that needs an escape is left over.
fn is_clean_word(word: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES << 7;
    // Borrows reach only bytes above one that needs an escape itself.
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word;
    let equal = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    (below(word, 0x20) | equal(b'"') | equal(b'\\')) & HIGH == 0
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// How many bytes come before the first that needs an escape.
fn clean_length(bytes: &[u8]) -> usize {
    // Without an early exit inside a block the compiler compares all its bytes at once.
    let has_escape = |block: &[u8]| block.iter().fold(false, |found, byte| found | needs_escape(*byte));
    let clean_blocks = bytes.chunks_exact(BLOCK).take_while(|block| !has_escape(block)).count();
    let start = clean_blocks * BLOCK;
    let rest = bytes.get(start..).unwrap_or_default();
    start + rest.iter().position(|byte| needs_escape(*byte)).unwrap_or(rest.len())
}

#[cold]
fn write_escape(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            let low = byte & 0xf;
            let digit = if low < 10 { b'0' + low } else { b'a' + low - 10 };
            return out.extend_from_slice(&[b'\\', b'u', b'0', b'0', b'0' + (byte >> 4), digit]);
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use super::write_str;

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        write_str(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn write_str_escapes_as_json_dumps() {
        let table = [
            ("", r#""""#),
            ("plain", r#""plain""#),
            ("a\"b\\c/d", r#""a\"b\\c/d""#),
            ("\u{8}\t\n\u{b}\u{c}\r\0\u{1f}\u{10}", r#""\b\t\n\u000b\f\r\u0000\u001f\u0010""#),
            ("é\u{7f}\u{2028}\u{1f600}", "\"é\u{7f}\u{2028}\u{1f600}\""),
        ];
        for (text, expected) in table {
            assert_eq!(written(text), expected);
        }
    }

    #[test]
    fn write_str_finds_an_escape_at_every_place_of_a_block() {
        for length in 0..100 {
            for place in 0..length {
                let mut text = "x".repeat(length);
                text.replace_range(place..=place, "\n");
                let expected = format!("\"{}\"", text.replace('\n', "\\n"));
                assert_eq!(written(&text), expected);
            }
        }
    }
}
