//! The README of the repository begins like the front page of this crate, which is compiled.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

const FRONT_PAGE: &str = include_str!("../README.md");
const README: &str = include_str!("../../README.md");

/// The program of a page.
fn program(page: &str) -> &str {
    let (_, rest) = page.split_once("```rust,no_run\n").unwrap();
    rest.split_once("```").unwrap().0
}

/// The first paragraph of a page.
fn introduction(page: &str) -> &str {
    page.split("\n\n").nth(1).unwrap()
}

#[test]
fn both_pages_begin_alike() {
    assert_eq!(program(FRONT_PAGE), program(README));
    assert_eq!(introduction(FRONT_PAGE), introduction(README));
}
