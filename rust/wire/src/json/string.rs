//! A text as a JSON string.
//! Copies in bulk what needs no escape; writes valid UTF-8 as it is.

/// Bytes looked at together; a whole number of vector registers.
const BLOCK: usize = 32;

/// Appends the text in quotes, escaped.
///
/// Source: `json.dumps(text, ensure_ascii=False)`; pydantic's `to_json` prints the same.
#[inline]
pub fn write_str(text: &str, out: &mut Vec<u8>) {
    if !write_short_str(text, out) {
        write_any(text.as_bytes(), out);
    }
}

/// Appends a text of one to 32 bytes that needs no escape as [`write_str`] does; `false`, and nothing written, if it is
/// another.
#[expect(clippy::inline_always, reason = "for loops that write little else; `write_str` is for all others")]
#[inline(always)]
pub fn write_short_str(text: &str, out: &mut Vec<u8>) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() > BLOCK {
        false
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<16>(), bytes.last_chunk::<16>()) {
        write_ends::<16, 17>(first, last, bytes.len(), out)
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        write_ends::<8, 9>(first, last, bytes.len(), out)
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        write_ends::<4, 5>(first, last, bytes.len(), out)
    } else {
        match *bytes {
            [one] => write_few(&[one], &[b'"', one, b'"'], out),
            [one, two] => write_few(&[one, two], &[b'"', one, two, b'"'], out),
            [one, two, three] => write_few(&[one, two, three], &[b'"', one, two, three, b'"'], out),
            _ => false,
        }
    }
}

/// Appends a text of `SIZE` to two times `SIZE` bytes, of which these are the first and the last ones; those that are
/// in both are written twice. `false`, and nothing written, if something needs an escape.
#[inline]
fn write_ends<const SIZE: usize, const QUOTED: usize>(
    first: &[u8; SIZE],
    last: &[u8; SIZE],
    length: usize,
    out: &mut Vec<u8>,
) -> bool {
    if has_escape(first) | has_escape(last) {
        return false;
    }
    let start = out.len();
    let mut quoted = [b'"'; QUOTED];
    if let Some(text) = quoted.last_chunk_mut() {
        *text = *first;
    }
    out.extend_from_slice(&quoted);
    out.truncate(start + 1 + length - SIZE);
    let mut quoted = [b'"'; QUOTED];
    if let Some(text) = quoted.first_chunk_mut() {
        *text = *last;
    }
    out.extend_from_slice(&quoted);
    true
}

/// The same for one to three bytes.
#[inline]
fn write_few(text: &[u8], quoted: &[u8], out: &mut Vec<u8>) -> bool {
    if has_escape(text) {
        return false;
    }
    out.extend_from_slice(quoted);
    true
}

/// Appends text that may hold lone surrogates, each in three bytes, as [`write_str`] does.
pub fn write_wtf8(text: &[u8], out: &mut Vec<u8>) {
    write_any(text, out);
}

#[inline(never)]
fn write_any(bytes: &[u8], out: &mut Vec<u8>) {
    if clean_length(bytes) < bytes.len() {
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

/// Whether something needs an escape. Without an early exit the compiler compares all the bytes at once.
#[inline]
fn has_escape(block: &[u8]) -> bool {
    let has = |is_it: fn(u8) -> bool| block.iter().fold(false, |found, byte| found | is_it(*byte));
    has(|byte| byte < 0x20) | has(|byte| byte == b'"') | has(|byte| byte == b'\\')
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// How many bytes come before the first that needs an escape.
fn clean_length(bytes: &[u8]) -> usize {
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
    use super::{write_short_str, write_str};

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

    #[test]
    fn write_short_str_writes_a_short_text_whole_or_not_at_all() {
        for byte in 0..=0x7f_u8 {
            for length in 1..40 {
                for place in 0..length {
                    let mut text = "x".repeat(length);
                    text.replace_range(place..=place, char::from(byte).encode_utf8(&mut [0; 4]));
                    let mut out = b"before".to_vec();
                    let is_written = write_short_str(&text, &mut out);
                    let expected = if is_written { format!("before\"{text}\"") } else { "before".to_owned() };
                    assert_eq!(out, expected.as_bytes());
                    assert_eq!(is_written, length <= 32 && byte >= 0x20 && byte != b'"' && byte != b'\\');
                }
            }
        }
    }
}
