//! Checks that each package compiles without warnings with several feature sets. These are no
//! feature, each feature alone, the default features, and all features.
//!
//! Each package is built alone, because in a workspace build it gets the features that other
//! packages enable.

use std::fmt;

use anyhow::Result;

use crate::process::{capture, cargo, command_line};
use crate::report::Problem;
use crate::workspace::Package;

/// A package with exactly these features.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FeatureSet {
    package: String,
    features: Vec<String>,
}

/// For each package: no feature, each feature alone, the default features, and all features.
pub(super) fn of(packages: &[Package]) -> Vec<FeatureSet> {
    let mut sets = Vec::new();
    for package in packages {
        let own: Vec<String> = package.features.keys().filter(|name| *name != "default").cloned().collect();
        let alone = own.iter().map(|feature| vec![feature.clone()]);
        let by_default = package.features.get("default").cloned().map(|mut features| {
            features.sort();
            features
        });
        let candidates = [vec![]].into_iter().chain(alone).chain(by_default).chain([own.clone()]);
        for features in candidates {
            let set = FeatureSet { package: package.name.clone(), features };
            if !sets.contains(&set) {
                sets.push(set);
            }
        }
    }
    sets
}

impl FeatureSet {
    pub(super) fn check(&self) -> Result<Vec<Problem>> {
        let mut command = cargo(["check", "--locked", "--quiet", "--message-format", "short"]);
        command.args(["--package", &self.package, "--no-default-features"]);
        command.args(["--features", &self.features.join(",")]);
        let output = capture(&mut command)?;
        let messages = String::from_utf8_lossy(&output.stderr);
        let mut problems = diagnostics(&messages);
        if problems.is_empty() && !output.status.success() {
            problems.push(Problem::of(command_line(&command), messages.trim()));
        }
        Ok(problems)
    }
}

impl fmt::Display for FeatureSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.features.as_slice() {
            [] => write!(f, "{} with no feature", self.package),
            features => write!(f, "{} with {}", self.package, features.join(", ")),
        }
    }
}

/// Reads lines of the form `path:line:column: warning: message`. A warning counts as a problem
/// here, because denying warnings in cargo would recompile every dependency.
fn diagnostics(output: &str) -> Vec<Problem> {
    let diagnostic = |line: &str| {
        let (position, message) = line.split_once(": ")?;
        let (place, _column) = position.rsplit_once(':')?;
        let severe = message.starts_with("warning") || message.starts_with("error");
        (severe && place.contains(':')).then(|| Problem::of(place, message))
    };
    output.lines().filter_map(diagnostic).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets_of(features: &[(&str, &[&str])]) -> Vec<String> {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let features = features.iter().map(|(name, on)| ((*name).to_owned(), owned(on))).collect();
        let package = Package {
            name: "p".to_owned(),
            version: "1.0.0".to_owned(),
            features,
            targets: vec![],
            rust_version: None,
            publish: None,
        };
        of(&[package]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn no_feature_each_alone_the_default_and_all() {
        let features: &[(&str, &[&str])] = &[("default", &["b", "a"]), ("a", &[]), ("b", &[]), ("c", &[])];
        let expected =
            ["p with no feature", "p with a", "p with b", "p with c", "p with a, b", "p with a, b, c"];
        assert_eq!(sets_of(features), expected);
    }

    #[test]
    fn duplicate_feature_set_is_checked_once() {
        assert_eq!(sets_of(&[]), ["p with no feature"]);
        assert_eq!(sets_of(&[("default", &["a"]), ("a", &[])]), ["p with no feature", "p with a"]);
    }

    #[test]
    fn only_warnings_and_errors_are_problems() {
        let output = "queue-core/src/lib.rs:3:5: warning: unused import: `std::fmt`\n\
                      warning: `queue-core` (lib) generated 1 warning\n\
                      queue/src/lib.rs:9:1: error[E0432]: unresolved import\n";
        let expected = [
            Problem::at("queue-core/src/lib.rs", 3, "warning: unused import: `std::fmt`"),
            Problem::at("queue/src/lib.rs", 9, "error[E0432]: unresolved import"),
        ];
        assert_eq!(diagnostics(output), expected);
    }
}
