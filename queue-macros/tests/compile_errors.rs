//! The compiler's errors for wrong attributes and wrong handlers must stay readable.
//!
//! Each file in `compile_errors` does not compile, and has the errors beside it. After a change,
//! `TRYBUILD=overwrite cargo test -p queue-macros --test compile_errors` writes them anew; read
//! them as if you had made the mistake.

use std::process::Command;

/// The compiler of the stored errors. Others word some lines differently.
const COMPILER: &str = "rustc 1.95.";

#[test]
fn mistakes_have_readable_errors() {
    let version = Command::new("rustc").arg("--version").output().unwrap().stdout;
    let version = String::from_utf8_lossy(&version);
    if !version.starts_with(COMPILER) {
        println!("skipped: the stored errors are those of {COMPILER}x, this is {version}");
        return;
    }
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/compile_errors/*.rs");
    #[cfg(feature = "schedules")]
    cases.compile_fail("tests/compile_errors/schedules/*.rs");
}
