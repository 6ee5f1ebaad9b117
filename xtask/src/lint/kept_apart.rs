//! Checks that features separate dependencies: a program without a driver's feature never compiles
//! the driver.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::process::{cargo, read};
use crate::report::Problem;

/// A package with these flags must not depend on these crates.
struct Promise {
    package: &'static str,
    flags: &'static [&'static str],
    without: &'static [&'static str],
}

const NO_FEATURE: &[&str] = &["--no-default-features"];
const ONLY_SQLITE: &[&str] = &["--no-default-features", "--features", "sqlite"];
const ONLY_POSTGRES: &[&str] = &["--no-default-features", "--features", "postgres-tls"];
const WITHOUT_SUITE: &[&str] = &["--no-default-features", "--features", "child,proxy"];
const ALL_FEATURES: &[&str] = &["--all-features"];

const SQLITE: &[&str] = &["queue-sqlite", "rusqlite", "libsqlite3-sys"];
const POSTGRES: &[&str] = &["queue-postgres", "tokio-postgres", "deadpool-postgres"];
const TLS: &[&str] = &["rustls", "tokio-postgres-rustls"];
const C_COMPILER: &[&str] = &["cc"];
const SUITE: &[&str] = &["queue-core", "libtest-mimic", "proptest"];

const PROMISES: &[Promise] = &[
    Promise { package: "queue-core", flags: ALL_FEATURES, without: SQLITE },
    Promise { package: "queue-core", flags: ALL_FEATURES, without: POSTGRES },
    Promise { package: "queue", flags: NO_FEATURE, without: SQLITE },
    Promise { package: "queue", flags: NO_FEATURE, without: POSTGRES },
    Promise { package: "queue", flags: ONLY_SQLITE, without: POSTGRES },
    Promise { package: "queue", flags: ONLY_POSTGRES, without: SQLITE },
    Promise { package: "queue-sqlite", flags: ALL_FEATURES, without: POSTGRES },
    Promise { package: "queue-postgres", flags: ALL_FEATURES, without: SQLITE },
    Promise { package: "queue-postgres", flags: NO_FEATURE, without: TLS },
    Promise { package: "queue-sqlite", flags: NO_FEATURE, without: C_COMPILER },
    Promise { package: "queue-testkit", flags: ALL_FEATURES, without: SQLITE },
    Promise { package: "queue-testkit", flags: ALL_FEATURES, without: POSTGRES },
    Promise { package: "queue-testkit", flags: WITHOUT_SUITE, without: SUITE },
];

pub(super) fn check() -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for promise in PROMISES {
        let flags = promise.flags;
        let mut tree = cargo(["tree", "--locked", "--package", promise.package, "--edges", "normal,build"]);
        let listing = read(tree.args(["--prefix", "none", "--format", "{p}"]).args(flags))?;
        problems.extend(leaks(&listing, promise));
    }
    Ok(problems)
}

/// Reads one `name version …` per line; the first line is the package itself.
fn leaks(listing: &str, promise: &Promise) -> Vec<Problem> {
    let dependencies: BTreeSet<&str> =
        listing.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    let Promise { package, flags, without } = promise;
    let flags = flags.join(" ");
    let leaked = without.iter().filter(|name| dependencies.contains(**name));
    let problem = |name: &&str| {
        let why = format!("`cargo tree --package {package} {flags} --invert {name}` shows why");
        Problem::of(format!("{package}/Cargo.toml"), format!("{flags} brings in {name}; {why}"))
    };
    leaked.map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forbidden_dependency_is_found_at_any_depth() {
        let promise = Promise { package: "queue", flags: NO_FEATURE, without: SQLITE };
        let listing =
            "queue v0.1.0 (/w/queue)\nserde v1.0.0\nlibsqlite3-sys v0.30.0\nrusqlite-macros v1.0.0\n";
        let found = leaks(listing, &promise);
        assert_eq!(found.len(), 1);
        let text = found[0].to_string();
        assert!(
            text.starts_with("queue/Cargo.toml: --no-default-features brings in libsqlite3-sys"),
            "{text}"
        );
    }

    #[test]
    fn package_is_not_its_own_dependency() {
        let promise = Promise { package: "queue-sqlite", flags: ALL_FEATURES, without: &["queue-sqlite"] };
        assert_eq!(leaks("queue-sqlite v0.1.0 (/w/queue-sqlite)\n", &promise), []);
    }
}
