//! Checks the cargo commands that a document shows.

use clap::Parser;
use clap::error::ErrorKind;

use super::names::Names;
use crate::cli::Cli;

/// Commands that work on the packages of the workspace.
const ON_PACKAGES: &[&str] =
    &["bench", "build", "check", "clippy", "doc", "fix", "run", "rustc", "test", "tree"];

/// Other cargo commands that a document may show.
const OTHER_COMMANDS: &[&str] =
    &["add", "fetch", "fmt", "help", "init", "install", "metadata", "new", "remove", "search", "update"];

/// The problems of the cargo commands in a line of shell.
pub(super) fn problems(line: &str, names: &Names) -> Vec<String> {
    let line = line.replace(';', " ; ");
    let words: Vec<&str> = line.split_whitespace().take_while(|word| !word.starts_with('#')).collect();
    let commands = words.split(|word| ["&&", "||", ";", "|", "&"].contains(word));
    commands.flat_map(|words| problems_of_one(words, names)).collect()
}

/// The program in a line of shell, after a prompt and variable settings.
pub(super) fn program(line: &str) -> Option<&str> {
    line.split_whitespace().find(|word| *word != "$" && !word.contains('='))
}

fn problems_of_one(words: &[&str], names: &Names) -> Vec<String> {
    let Some(cargo) = words.iter().position(|word| *word == "cargo") else { return Vec::new() };
    let mut words = words[cargo + 1..].iter().map(|word| word.trim_matches(['[', ']']));
    let subcommand = words.find(|word| !word.starts_with(['-', '+']));
    match subcommand {
        Some("xtask") => not_a_chore(words).into_iter().collect(),
        Some(name) if ON_PACKAGES.contains(&name) => {
            missing_targets(words.take_while(|word| *word != "--"), names)
        }
        Some(name) if !OTHER_COMMANDS.contains(&name) && !is_placeholder(name) => {
            vec![format!("no such command: cargo {name}")]
        }
        _ => Vec::new(),
    }
}

/// Checks a command against the command line of `cargo xtask`.
fn not_a_chore<'a>(words: impl Iterator<Item = &'a str>) -> Option<String> {
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    if words.first().is_some_and(|word| is_placeholder(word)) {
        return None;
    }
    let error = Cli::try_parse_from(["cargo xtask"].iter().chain(&words)).err()?;
    let help = [
        ErrorKind::DisplayHelp,
        ErrorKind::DisplayVersion,
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
    ];
    let message = error.to_string();
    let reason = message.lines().next().unwrap_or_default().trim_start_matches("error: ");
    (!help.contains(&error.kind()))
        .then(|| format!("no such command: cargo xtask {}: {reason}", words.join(" ")))
}

/// Checks each `--example NAME` and `--package NAME`.
fn missing_targets<'a>(words: impl Iterator<Item = &'a str>, names: &Names) -> Vec<String> {
    let mut problems = Vec::new();
    let mut words = words;
    while let Some(word) = words.next() {
        let (flag, attached) = word.split_once('=').map_or((word, None), |(flag, value)| (flag, Some(value)));
        let (known, noun) = match flag {
            "--example" => (&names.examples, "example"),
            "--package" | "-p" => (&names.packages, "package"),
            _ => continue,
        };
        if let Some(name) = attached.or_else(|| words.next())
            && !known.contains(name)
            && !is_placeholder(name)
        {
            problems.push(format!("no such {noun}: {name}"));
        }
    }
    problems
}

/// Whether the word is a placeholder such as `NAME`, `<name>` or `…`.
fn is_placeholder(word: &str) -> bool {
    word.starts_with(['<', '…', '.']) || !word.contains(|c: char| c.is_lowercase() || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str) -> Vec<String> {
        let mut names = Names::default();
        names.packages.insert("queue-benches".to_owned());
        names.examples.insert("quickstart".to_owned());
        problems(line, &names)
    }

    #[test]
    fn existing_command_is_no_problem() {
        for line in [
            "cargo run --release --example quickstart",
            "cargo run -p queue-benches -- WORKLOAD --backend memory|sqlite [--jobs N] --example other",
            "cargo test --package=queue-benches && cargo xtask lint # then cargo frob",
            "RUSTDOCFLAGS=\"-D warnings\" cargo doc --example NAME",
            "cargo xtask test [-- FILTER…]",
            "cargo xtask test -- --nocapture claim",
            "cargo xtask",
            "cargo xtask --help",
            "cargo xtask SUB",
            "cargo +nightly build -p <package>",
            "cargo",
            "git clone somewhere",
        ] {
            assert_eq!(found(line), Vec::<String>::new(), "{line}");
        }
    }

    #[test]
    fn missing_command_or_target_is_named() {
        for (line, expected) in [
            ("cargo run --example=quikstart", "no such example: quikstart"),
            ("cargo build; cargo frob", "no such command: cargo frob"),
            ("cargo run -p queue-bench -- drain", "no such package: queue-bench"),
            ("cargo frobnicate", "no such command: cargo frobnicate"),
            (
                "ls && cargo xtask prove",
                "no such command: cargo xtask prove: unrecognized subcommand 'prove'",
            ),
            (
                "cargo xtask test --most",
                "no such command: cargo xtask test --most: unexpected argument '--most' found",
            ),
        ] {
            assert_eq!(found(line), [expected], "{line}");
        }
    }

    #[test]
    fn program_follows_prompt_and_variables() {
        assert_eq!(program("$ A=1 .ci/run now"), Some(".ci/run"));
        assert_eq!(program("   "), None);
    }
}
