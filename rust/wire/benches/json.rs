//! Strings and numbers as JSON. Each bench checks its own answer.
#![allow(missing_docs, reason = "criterion's macros make public functions")]
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wire::json::{write_f64, write_i64, write_str};

fn strings(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("json string");
    let table = [
        ("word", "username".to_owned(), 10),
        ("4 kB", "x".repeat(4096), 4098),
        ("4 kB, a line feed in 64", format!("{}\n", "x".repeat(63)).repeat(64), 4098 + 64),
        ("4 kB of quotes", "\"".repeat(4096), 2 * 4096 + 2),
        ("4 kB of euro signs", "€".repeat(1365), 1365 * 3 + 2),
    ];
    for (name, text, expected) in &table {
        let mut out = Vec::new();
        write_str(text, &mut out);
        assert_eq!(out.len(), *expected, "{name}");
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(*name, |bencher| {
            bencher.iter(|| {
                out.clear();
                write_str(black_box(text), &mut out);
                out.len()
            });
        });
    }
}

fn numbers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("json number");
    let mut out = Vec::new();
    for (name, number, expected) in
        [("usual", 1234.5, "1234.5"), ("large", 1.5e300, "1.5e+300"), ("small", 2e-5, "2e-05")]
    {
        out.clear();
        write_f64(number, &mut out);
        assert_eq!(out, expected.as_bytes());
        group.bench_function(format!("float, {name}"), |bencher| {
            bencher.iter(|| {
                out.clear();
                write_f64(black_box(number), &mut out);
                out.len()
            });
        });
    }
    group.bench_function("int", |bencher| {
        bencher.iter(|| {
            out.clear();
            write_i64(black_box(-1_234_567), &mut out);
            out.len()
        });
    });
    assert_eq!(out, b"-1234567");
}

criterion_group!(benches, strings, numbers);
criterion_main!(benches);
