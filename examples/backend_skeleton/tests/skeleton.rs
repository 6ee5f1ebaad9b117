//! Checks that the suite runs on the skeleton. A copy does not need this file.

#[expect(dead_code, reason = "the other target starts with its `main`")]
#[path = "conformance.rs"]
mod conformance;

use std::time::Duration;

use queue_testkit::conformance::Suite;

use conformance::Skeleton;

/// Otherwise an author would have to look for the operation to write next.
#[test]
fn each_case_fails_by_naming_an_operation() {
    let suite = Suite::new(Skeleton).unwrap().with_wait(Duration::from_secs(1));
    let cases = suite.applicable();
    assert!(cases.len() > 100, "only {} cases apply", cases.len());
    for case in cases {
        let failure = suite.run(case.name()).expect_err(case.name()).to_string();
        let names_it = failure.contains("`Backend::") && failure.contains("` is not written yet");
        assert!(names_it, "{}: {failure}", case.name());
    }
}
