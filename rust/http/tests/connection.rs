//! Whole connections: what is refused, and that it does not matter where the bytes are cut.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by failing")]

use http::{Connection, Event, Limits, Refusal};
use proptest::prelude::*;

/// What a connection says of bytes that arrive in the given pieces: one line an event, and the refusal if there is one.
fn read(pieces: &[&[u8]], limits: Limits) -> (Vec<String>, Option<Refusal>) {
    let (mut connection, mut pending, mut said) = (Connection::new(limits), Vec::new(), Vec::<String>::new());
    for piece in pieces {
        pending.extend_from_slice(piece);
        let mut rest = &pending[..];
        loop {
            match connection.next(&mut rest) {
                Err(refusal) => return (said, Some(refusal)),
                Ok(Event::More) => break,
                Ok(Event::End) => said.push("end".into()),
                Ok(Event::Data(data)) => match said.last_mut() {
                    Some(last) if last.starts_with("data ") => last.push_str(&data.escape_ascii().to_string()),
                    _ => said.push(format!("data {}", data.escape_ascii())),
                },
                Ok(Event::Head(head)) => said.push(format!("{head:?}")),
            }
        }
        let left = rest.len();
        pending.drain(..pending.len() - left);
    }
    (said, None)
}

fn refusal(request: &[u8]) -> Option<Refusal> {
    read(&[request], Limits::default()).1
}

#[test]
fn requests_that_can_be_understood_in_two_ways_are_refused() {
    let heads: [&[u8]; 28] = [
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 0x1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: \r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1 1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 18446744073709551616\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
        b"GET / HTTP/1.1\r\n A: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n",
        b"GET / HTTP/1.1\nA: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\r\n\n",
        b"\nGET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\x00c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
    ];
    for head in heads {
        assert_eq!(refusal(head), Some(Refusal::Invalid), "{}", head.escape_ascii());
    }
    assert_eq!(refusal(b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"), Some(Refusal::UnknownCoding));
}

#[test]
fn usual_requests_are_read_one_after_the_other() {
    let stream = b"GET /a?b HTTP/1.1\r\nHost: x\r\nConnection: Keep-Alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n\
        POST /c HTTP/1.1\r\nhost: x\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\r\nhello\
        \r\nPUT /d HTTP/1.1\r\nTransfer-encoding: Chunked\r\nConnection: close\r\n\r\n2\r\nab\r\n0\r\n\r\n\
        GET / HTTP/1.0\r\nX:  y\t\r\n\r\n";
    let (said, refusal) = read(&[stream], Limits::default());
    assert_eq!(refusal, None);
    assert_eq!(said.len(), 10, "{said:#?}");
    let facts =
        ["framing: Length(0)", "end", "framing: Length(5)", "data hello", "end", "framing: Chunked", "data ab", "end"];
    for (line, fact) in said.iter().zip(facts) {
        assert!(line.contains(fact), "{line}: {fact}");
    }
    assert!(said[0].contains("is_persistent: true") && said[0].contains("upgrade: Some("), "{}", said[0]);
    assert!(said[2].contains("expects_continue: true"), "{}", said[2]);
    assert!(said[5].contains("is_persistent: false"), "{}", said[5]);
    assert!(said[8].contains("minor_version: 0") && said[8].contains("is_persistent: false"), "{}", said[8]);
}

#[test]
fn limits_are_kept_to_the_byte() {
    let limits = Limits { head: 100, request_line: 40, headers: 2 };
    let line = |length: usize| format!("GET /{} HTTP/1.1\r\n", "a".repeat(length - 16));
    let with = |line: &str, headers: &str| read(&[format!("{line}{headers}\r\n").as_bytes()], limits).1;
    assert_eq!(with(&line(40), ""), None);
    assert_eq!(with(&line(41), ""), Some(Refusal::LineTooLong));
    assert_eq!(with(&line(40), "a: b\r\nc: d\r\n"), None);
    assert_eq!(with(&line(40), "a: b\r\nc: d\r\ne: f\r\n"), Some(Refusal::HeadTooLarge));
    assert_eq!(with(&line(40), &format!("a: {}\r\n", "b".repeat(53))), None);
    assert_eq!(with(&line(40), &format!("a: {}\r\n", "b".repeat(54))), Some(Refusal::HeadTooLarge));
    // What has no end is refused once it is beyond the limit, and not before.
    assert_eq!(read(&[&[b'G'; 40]], limits).1, None);
    assert_eq!(read(&[&[b'G'; 41]], limits).1, Some(Refusal::LineTooLong));
    assert_eq!(read(&[line(40).as_bytes(), &[b'a'; 61]], limits).1, Some(Refusal::HeadTooLarge));
    let many = "a: b\r\n".repeat(100);
    assert_eq!(refusal(format!("GET / HTTP/1.1\r\n{many}\r\n").as_bytes()), None);
    assert_eq!(refusal(format!("GET / HTTP/1.1\r\n{many}a: b\r\n\r\n").as_bytes()), Some(Refusal::HeadTooLarge));
}

#[test]
fn headers_without_a_limit_take_no_more_room_than_they_can_fill() {
    let limits = Limits { headers: usize::MAX, ..Limits::default() };
    for count in [64, 65, 1000] {
        let head = [&b"GET / HTTP/1.1\r\n"[..], &b"a:\r\n".repeat(count), b"\r\n"].concat();
        for cut in [0, 1, 200, head.len() - 4, head.len() - 3, head.len() - 1] {
            let (said, refusal) = read(&[&head[..cut], &head[cut..]], limits);
            assert_eq!((said.len(), refusal), (2, None), "{count} headers cut at {cut}");
        }
    }
}

#[test]
fn a_slow_sender_costs_no_square() {
    let head = format!("GET / HTTP/1.1\r\nCookie: {}\r\n\r\n", "x".repeat(60_000));
    let pieces: Vec<&[u8]> = head.as_bytes().chunks(1).collect();
    let (said, refusal) = read(&pieces, Limits::default());
    assert_eq!((said.len(), refusal), (2, None));
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let parts = prop::sample::select(vec![
        "GET / HTTP/1.1\r\n",
        "POST /a?b#c HTTP/1.1\r\n",
        "PUT http://h/x HTTP/1.0\r\n",
        "Host: a\r\n",
        "content-length: 3\r\n",
        "Content-Length: 0\r\n",
        "Transfer-Encoding: chunked\r\n",
        "connection: close\r\n",
        "expect: 100-continue\r\n",
        "a:\tb \r\n",
        "\r\n",
        "\n",
        "\r",
        "3\r\nabc\r\n",
        "0\r\n\r\n",
        "1;x=y\r\na\r\n",
        "abc",
        " ",
        ":",
        "\u{0}",
        "\u{e9}",
    ]);
    // An unfinished head is only looked at again when its end may have come, or when it has doubled.
    prop::collection::vec(parts, 1..12).prop_map(|parts| (parts.concat() + "\r\n\r\n").into_bytes())
}

proptest! {
    #[test]
    fn it_does_not_matter_where_bytes_are_cut(bytes in text(), cuts in prop::collection::vec(0.0..1.0, 0..6)) {
        let whole = read(&[&bytes], Limits::default());
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place")]
        let mut places: Vec<usize> = cuts.iter().map(|cut| (cut * bytes.len() as f64) as usize).collect();
        places.sort_unstable();
        let (mut pieces, mut from) = (Vec::new(), 0);
        for place in places.into_iter().chain([bytes.len()]) {
            pieces.push(&bytes[from..place]);
            from = place;
        }
        let cut = read(&pieces, Limits::default());
        prop_assert_eq!(&cut.0, &whole.0);
        prop_assert_eq!(cut.1, whole.1);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        let slow = read(&single, Limits::default());
        prop_assert_eq!(slow, whole);
    }
}
