//! Every check, on bytes of which many mean something; `make fuzz` goes further. More by `PROPTEST_CASES`.
use std::fs;
use std::path::Path;

use fuzz::CHECKS;
use proptest::prelude::*;

/// Pieces that the grammars give a meaning, among bytes that they do not.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<&[u8]> = vec![
        b"&",
        b"=",
        b";",
        b"+",
        b"%",
        b"%4",
        b"%41",
        b"%c3%a9",
        b"%ff",
        b"%00",
        b"/",
        b"//",
        b"{",
        b"}",
        b"{a}",
        b"{b:int}",
        b"{c:path}",
        b"{d:float}",
        b"{e:uuid}",
        b":",
        b"a",
        b"b",
        b"1",
        b"1.5",
        b"-",
        b".",
        b"\n",
        b"\"",
        b"\\",
        b"\\\"",
        b"\\101",
        b" ",
        b"\t",
        b",",
        b"application/json",
        b"multipart/form-data",
        b"boundary=",
        b"multipart/form-data; boundary=x",
        b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n",
        b"--x\r\nContent-Type: a\r\nContent-Disposition: form-data; name=\"a\"; filename=\"b\"\r\n\r\n",
        b"\r\n",
        b"\r\n--x--",
        b"charset",
        b"\xc3\xa9",
        b"\xff",
        b"\0",
        b"\x1f",
        b"\x7f",
        b"\xe2\x80\xa8",
        b"01234567-89ab-cdef-ABCD-EF0123456789",
        b"application/x-www-form-urlencoded",
        b"\xff\xff\xff",
        b"GET /a?b HTTP/1.1\r\n",
        b"PUT http://h/x HTTP/1.0\r\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close, upgrade\r\n",
        b"Upgrade: websocket\r\n",
        b"A:\tb \r\n",
        b"\r\n\r\n",
        b"3\r\nabc\r\n",
        b"3;x=y\r\nabc\r\n",
        b"0\r\n\r\n",
        b"0\r\nT: x\r\n\r\n",
    ];
    let word = prop::sample::select(words).prop_map(<[u8]>::to_vec);
    let any = prop::collection::vec(any::<u8>(), 0..4);
    prop::collection::vec(prop_oneof![4 => word, 1 => any], 0..16).prop_map(|pieces| pieces.concat())
}

/// At least 2,000 cases for each check.
fn configuration() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig { cases: default.cases.max(2000), failure_persistence: None, ..default }
}

proptest! {
    #![proptest_config(configuration())]

    #[test]
    fn checks_hold_for_any_bytes(bytes in bytes()) {
        for (_, check) in CHECKS {
            check(&bytes);
        }
    }
}

/// A target that is not in the list of checks would not be run here, and a check without a target not by libFuzzer.
#[test]
fn every_check_has_a_target() {
    let manifest = include_str!("../Cargo.toml");
    assert_eq!(manifest.matches("[[bin]]").count(), CHECKS.len());
    assert!(
        CHECKS.iter().all(|(name, _)| manifest.contains(&format!("name = \"{name}\"\npath = \"targets/{name}.rs\"")))
    );
}

/// What libFuzzer starts from is checked here as well; a target without seeds would have to find every grammar by chance.
#[test]
fn every_seed_passes_its_check() {
    for (name, check) in CHECKS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
        let seeds: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(seeds.len() > 1, "{name}");
        for seed in seeds {
            check(&fs::read(seed).unwrap());
        }
    }
}
