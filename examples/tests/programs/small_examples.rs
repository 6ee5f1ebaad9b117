//! Tests that the small examples end and print the expected lines.

use crate::program::Program;

/// Returns the output.
#[track_caller]
fn shows(example: &str, lines: &[&str]) -> String {
    let (output, notes) = Program::start(example, &[]).finish();
    for line in lines {
        assert!(output.contains(line), "{line:?} is not in:\n{output}{notes}");
    }
    assert_eq!(notes, "");
    output
}

#[test]
fn quickstart() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("files");
    std::fs::create_dir_all(folder.join("deeper")).unwrap();
    std::fs::write(folder.join("empty"), "").unwrap();
    std::fs::write(folder.join("deeper/abc"), "abc").unwrap();
    for _ in 0..2 {
        let run = Program::start_in(temporary.path(), "quickstart", &[folder.to_str().unwrap()]);
        let (output, _) = run.finish();
        // The digests of FIPS 180-4's examples.
        for (digest, file) in [
            ("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "empty"),
            ("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "deeper/abc"),
        ] {
            let hashed = output.lines().filter(|line| line.starts_with(digest) && line.ends_with(file));
            assert_eq!(hashed.count(), 1, "{file}:\n{output}");
        }
        assert!(output.contains("2 files; their jobs are in "), "{output}");
    }
}

#[test]
fn typed_tasks() {
    shows("typed_tasks", &["hello Ada", "show: [\"any\",\"JSON\"]", "6 in \"to be or not to be\""]);
}

#[test]
fn request_reply() {
    let lines = [
        "order 7: 3 pages",
        "order 8, by its id: 3 pages",
        "the job is dead: there is no order -1",
        "it does not exist",
    ];
    shows("request_reply", &lines);
}

#[test]
fn app_module() {
    shows("app_module", &["without a post office: failed to start a worker", "with one: a letter to Grace"]);
}

#[test]
fn enqueue_only() {
    shows("enqueue_only", &["job 5 started ", "the worker ended: exit status: 0"]);
}

#[test]
fn graceful_shutdown() {
    let charged =
        ["100 ms of work: completed, attempts charged: 1", "60000 ms of work: ready, attempts charged: 0"];
    shows("graceful_shutdown", &charged);
}

#[test]
fn multi_db() {
    let lines = [
        "one worker with 8 slots serves 3 databases",
        "mail.db     100 of 100 jobs completed",
        "archive.db  100 of 100 jobs completed",
        "PostgreSQL  100 of 100 jobs completed",
        "counts 300 receipts",
    ];
    let output = shows("multi_db", &lines);
    let (_, most) = output.split_once("never more than ").unwrap();
    let most: usize = most.split(' ').next().unwrap().parse().unwrap();
    assert!((2..=8).contains(&most), "{most} jobs at the same time");
}
