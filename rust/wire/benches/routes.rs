//! Finding a route among 10, 100 and 1,000, and on paths made to be slow. Each bench checks its own answer.
#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use wire::{Find, Routes, Template};

/// A service with five routes a resource, as an application of that size has them.
fn service(resources: usize) -> Routes<&'static str> {
    let mut routes = Routes::default();
    for resource in 0..resources {
        let list = [
            (format!("/api/v1/resource{resource}"), "GET"),
            (format!("/api/v1/resource{resource}"), "POST"),
            (format!("/api/v1/resource{resource}/{{id:int}}"), "GET"),
            (format!("/api/v1/resource{resource}/{{id}}"), "DELETE"),
            (format!("/api/v1/resource{resource}/{{id}}/parts/{{part}}"), "GET"),
        ];
        for (path, method) in list {
            routes.insert(Template::parse(&path).unwrap(), method);
        }
    }
    routes
}

fn index<T>(find: &Find<'_, '_, T>) -> Option<usize> {
    match find {
        Find::Full(found) | Find::Partial(found) => Some(found.index),
        Find::None => None,
    }
}

fn ordinary(criterion: &mut Criterion) {
    for resources in [2, 20, 200] {
        let routes = service(resources);
        let last = resources - 1;
        let first = last * 5;
        let requests = [
            ("static", format!("/api/v1/resource{last}"), "POST", Some(first + 1)),
            ("one", format!("/api/v1/resource{last}/7"), "GET", Some(first + 2)),
            ("two", format!("/api/v1/resource{last}/7/parts/x"), "GET", Some(first + 4)),
            ("partial", format!("/api/v1/resource{last}/x"), "PUT", Some(first + 3)),
            ("none", format!("/api/v1/resource{last}/7/nothing"), "GET", None),
        ];
        let mut group = criterion.benchmark_group("routes");
        for (name, path, method, expected) in &requests {
            assert_eq!(index(&routes.find(path, |known| known == method)), *expected);
            group.bench_with_input(BenchmarkId::new(*name, resources * 5), path, |bencher, path| {
                bencher.iter(|| index(&routes.find(black_box(path), |known| known == black_box(method))));
            });
        }
    }
}

fn hostile(criterion: &mut Criterion) {
    let mut routes = Routes::default();
    for path in ["/{a}-{b}-{c}-{d}.json", "/{a:path}/x/{b:path}/x/{c}", "/{a:path}-{b:float}{c:int}"] {
        routes.insert(Template::parse(path).unwrap(), ());
    }
    let mut group = criterion.benchmark_group("hostile 64 kB path");
    for (name, unit) in [("hyphens", "-"), ("segments", "/x"), ("digits", "1"), ("slashes", "/")] {
        let path = format!("/{}!", unit.repeat(64 * 1024 / unit.len()));
        assert_eq!(index(&routes.find(&path, |()| true)), (name == "segments").then_some(1));
        group.bench_function(name, |bencher| bencher.iter(|| index(&routes.find(black_box(&path), |()| true))));
    }
}

criterion_group!(benches, ordinary, hostile);
criterion_main!(benches);
