//! The crate against tables of what Python answered, written by `tests/data/generate.py`.
//! `WIRE_TABLES` names another folder of tables, for a longer run.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
use std::path::PathBuf;

use wire::media_type::FormKind;
use wire::{cookie, form, json, media_type, percent, query};

/// Calls `check` with each row's input bytes and expected text.
fn for_each_row(table: &str, check: impl Fn(&[u8], &str)) {
    let folder = std::env::var_os("WIRE_TABLES")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data")), PathBuf::from);
    let text = std::fs::read_to_string(folder.join(table).with_extension("tsv")).unwrap();
    assert!(text.lines().count() > 50);
    for line in text.lines() {
        let (input, expected) = line.split_once('\t').unwrap();
        check(&bytes(input), expected);
    }
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    (0..hexadecimal.len()).step_by(2).map(|at| u8::from_str_radix(&hexadecimal[at..at + 2], 16).unwrap()).collect()
}

fn text(hexadecimal: &str) -> String {
    String::from_utf8(bytes(hexadecimal)).unwrap()
}

fn texts(pairs: &str) -> Vec<(String, String)> {
    let pairs = pairs.split(';').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap()).map(|(name, value)| (text(name), text(value))).collect()
}

fn owned<'q>(pairs: impl Iterator<Item = query::Pair<'q>>) -> Vec<(String, String)> {
    pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

#[test]
fn percent_decodes_as_urllib() {
    for_each_row("unquote", |raw, expected| {
        assert_eq!(percent::unquote(raw), text(expected), "{}", raw.escape_ascii());
    });
    for_each_row("unquote_plus", |raw, expected| {
        assert_eq!(percent::unquote_plus(raw), text(expected), "{}", raw.escape_ascii());
    });
}

#[test]
fn query_gives_the_pairs_of_parse_qsl() {
    for_each_row("query", |raw, expected| {
        assert_eq!(owned(query::pairs(raw)), texts(expected), "{}", raw.escape_ascii());
    });
}

#[test]
fn form_gives_the_pairs_of_form_parser() {
    let limits = form::Limits { fields: 1000, field_size: 1 << 20 };
    for_each_row("form", |raw, expected| {
        assert_eq!(
            owned(form::pairs(raw, limits).map(|part| part.unwrap().decode())),
            texts(expected),
            "{}",
            raw.escape_ascii()
        );
    });
}

#[test]
fn cookie_gives_the_dictionary_of_cookie_parser() {
    for_each_row("cookie", |raw, expected| {
        let mut dictionary: Vec<(String, String)> = Vec::new();
        for (name, value) in owned(cookie::pairs(raw)) {
            match dictionary.iter_mut().find(|known| known.0 == name) {
                Some(known) => known.1 = value,
                None => dictionary.push((name, value)),
            }
        }
        assert_eq!(dictionary, texts(expected), "{}", raw.escape_ascii());
    });
}

#[test]
fn media_type_says_what_python_says_or_is_unsure() {
    for_each_row("is_json", |raw, expected| {
        assert_eq!(media_type::is_json(raw), expected == "True", "{}", raw.escape_ascii());
    });
    for_each_row("form_kind", |raw, expected| {
        let kind = media_type::form_kind(raw);
        assert!(kind == FormKind::Unsure || format!("{kind:?}") == expected, "{} {kind:?}", raw.escape_ascii());
    });
}

#[test]
fn json_prints_as_python() {
    for_each_row("float", |raw, expected| {
        let mut out = Vec::new();
        json::write_f64(f64::from_be_bytes(raw.try_into().unwrap()), &mut out);
        assert_eq!(out, expected.as_bytes());
    });
    for_each_row("string", |raw, expected| {
        let mut out = Vec::new();
        json::write_str(std::str::from_utf8(raw).unwrap(), &mut out);
        assert_eq!(out, bytes(expected));
    });
}
