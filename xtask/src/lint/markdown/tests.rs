//! Checks small documents and their expected problems.

use super::*;

fn names() -> Names {
    let mut names = Names::default();
    for file in ["README.md", "Cargo.toml", ".ci/run", "queue-core/src/lib.rs", "queue-core/docs/leases.md"] {
        names.add_path(file);
    }
    names.packages.insert("queue-core".to_owned());
    names.examples.insert("quickstart".to_owned());
    names.add_cases("async fn q13_head_claims_in_order() {}");
    names
}

#[track_caller]
fn assert_found(text: &str, expected: &[&str]) {
    let found: Vec<String> =
        unresolved("queue-core/docs/leases.md", text, &names()).iter().map(ToString::to_string).collect();
    let expected: Vec<String> =
        expected.iter().map(|line| format!("queue-core/docs/leases.md:{line}")).collect();
    assert_eq!(found, expected, "in {text:?}");
}

#[test]
fn path_in_a_span_must_exist() {
    assert_found(
        "`Cargo.toml`, `queue-core/`, `src/lib.rs`",
        &["1: no such tracked file or folder: src/lib.rs"],
    );
    assert_found("`queue-core/src/lib.rs:3`\n`../src/lib.rs`\n`leases.md`", &[]);
    assert_found(
        "text\n\n| a | b |\n|---|---|\n| 1 | `gone.sql` |",
        &["5: no such tracked file or folder: gone.sql"],
    );
}

#[test]
fn span_that_is_no_path_is_ignored() {
    for span in [
        "sqlite:///x",
        "/etc/hosts",
        "target/debug/x",
        "jobs/s",
        "1/2",
        "a / b",
        "//!",
        "~/x",
        "</b>",
        "Vec<a/b>",
        "jobs.db",
        ".rs",
    ] {
        assert_found(&format!("`{span}`"), &[]);
    }
}

#[test]
fn link_is_relative_to_its_file() {
    assert_found(
        "[a](leases.md#x) [b](../src/lib.rs) [c](#here) [d](https://example.com) [e](crate::Kind)",
        &[],
    );
    let found = [
        "1: link to a path that is not tracked: Cargo.toml",
        "2: link to a path that is not tracked: gone.md",
    ];
    assert_found("[a](Cargo.toml)\n[b][x]\n\n[x]: gone.md", &found);
}

#[test]
fn crate_must_be_in_the_workspace() {
    assert_found("`queue-core` `queue_core::Kind` `queue_name` `queue`", &[]);
    assert_found("`queue-kafka`", &["1: no such crate in the workspace: queue-kafka"]);
    assert_found("\n`queue_kafka::Kind`", &["2: no such crate in the workspace: queue-kafka"]);
}

#[test]
fn commands_are_checked_in_spans_and_shell_blocks() {
    assert_found("`cargo run --example gone`", &["1: no such example: gone"]);
    assert_found("```sh\n$ .ci/run\ncargo run \\\n  --example gone\n```", &["3: no such example: gone"]);
    assert_found("```sh\n.ci/walk fast\n```", &["2: no such tracked file or folder: .ci/walk"]);
    assert_found("```\nsrc/gone.rs  a map\ncargo frob\n```", &["3: no such command: cargo frob"]);
    assert_found("- a\n  ```sh\n  cargo run \\\n    --example gone\n  ```", &["3: no such example: gone"]);
    assert_found("```rust\ncargo frob\n```", &[]);
}

#[test]
fn conformance_case_is_checked_anywhere() {
    assert_found("as q13_head_claims_in_order shows", &[]);
    let found = ["2: no such conformance case: q13_gone", "4: no such conformance case: q1_gone"];
    assert_found("\n`q13_gone`\n```rust\nq1_gone();\n```", &found);
}

#[test]
fn problems_are_in_line_order() {
    let found = ["1: no such conformance case: q1_gone", "2: no such tracked file or folder: b.rs"];
    assert_found("q1_gone\n`b.rs`", &found);
}
