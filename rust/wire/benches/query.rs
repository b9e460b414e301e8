//! Queries, forms and cookies: usual ones, and 64 kB made to be slow. Each bench checks its own answer.
#![allow(missing_docs, reason = "criterion's macros make public functions")]
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wire::{cookie, query};

/// The number of pairs and of characters in them, so that nothing is optimized away.
fn weigh<'q>(pairs: impl Iterator<Item = query::Pair<'q>>) -> (usize, usize) {
    pairs.fold((0, 0), |(count, length), (name, value)| (count + 1, length + name.len() + value.len()))
}

fn queries(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("query");
    let table = [
        ("plain", "skip=0&limit=100&q=abc".to_owned(), (3, 17)),
        ("escaped", "q=caf%C3%A9+au+lait&tag=a%26b".to_owned(), (2, 20)),
        ("64 kB of escapes", "%C3".repeat(64 * 1024 / 3), (1, 65_535)),
        ("64 kB of separators", "a&".repeat(32 * 1024), (32 * 1024, 32 * 1024)),
    ];
    for (name, text, expected) in &table {
        assert_eq!(weigh(query::pairs(text.as_bytes())), *expected, "{name}");
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(*name, |bencher| bencher.iter(|| weigh(query::pairs(black_box(text.as_bytes())))));
    }
}

fn cookies(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cookie");
    let table = [
        ("plain", "session=0123456789abcdef; theme=dark; _ga=GA1.2.3.4".to_owned(), (3, 44)),
        ("64 kB of backslashes", format!("a=\"{}\"", "\\".repeat(64 * 1024)), (1, 32 * 1024 + 1)),
        ("64 kB of spaces", " ".repeat(64 * 1024), (0, 0)),
    ];
    for (name, text, expected) in &table {
        assert_eq!(weigh(cookie::pairs(text.as_bytes())), *expected, "{name}");
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(*name, |bencher| bencher.iter(|| weigh(cookie::pairs(black_box(text.as_bytes())))));
    }
}

criterion_group!(benches, queries, cookies);
criterion_main!(benches);
