//! Checks that comments, texts and names avoid the words and phrases of `words.txt`.
//!
//! Names such as `snake_case` and `CamelCase` are split. A phrase may cross a line break.

use anyhow::Result;

use super::finished;
use crate::report::Problem;
use crate::workspace::Workspace;

/// Not a Rust file, so that it is not checked itself.
const LIST: &str = include_str!("words.txt");

pub(super) fn check(workspace: &Workspace) -> Result<Vec<Problem>> {
    let list = List::read(LIST);
    let mut problems = Vec::new();
    for path in finished::files(workspace, &["rs", "sql", "sh", "toml"]) {
        problems.extend(list.problems(path, &workspace.read(path)?));
    }
    Ok(problems)
}

struct List<'a> {
    /// The words of each phrase, and the advice.
    phrases: Vec<(Vec<&'a str>, &'a str)>,
    /// Texts that may use the phrases.
    allowed: Vec<&'a str>,
}

impl<'a> List<'a> {
    fn read(text: &'a str) -> Self {
        let lines = || text.lines().filter(|line| !line.starts_with('#'));
        let phrases = lines().filter_map(|line| line.split_once(" | "));
        Self {
            phrases: phrases.map(|(phrase, advice)| (phrase.split(' ').collect(), advice)).collect(),
            allowed: lines().filter_map(|line| line.strip_prefix("= ")).collect(),
        }
    }

    fn problems(&self, path: &str, text: &str) -> Vec<Problem> {
        let text = self.allowed.iter().fold(text.to_owned(), |text, allowed| text.replace(allowed, ""));
        let words = words(&text);
        let mut problems = Vec::new();
        for (start, (line, _)) in words.iter().enumerate() {
            for (phrase, advice) in &self.phrases {
                let follow = words[start..].iter().map(|(_, word)| word.as_str()).take(phrase.len());
                if follow.eq(phrase.iter().copied()) {
                    let message = format!("`{}`: {advice}", phrase.join(" "));
                    problems.push(Problem::at(path, *line, message));
                }
            }
        }
        problems
    }
}

/// The words of a text in small letters with their lines. Punctuation is an empty word, so that no
/// phrase crosses it.
fn words(text: &str) -> Vec<(usize, String)> {
    let mut words: Vec<(usize, String)> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let mut before = ' ';
        for c in line.chars() {
            let begins = !before.is_alphanumeric() || before.is_lowercase() && c.is_uppercase();
            match words.last_mut() {
                Some((_, word)) if c.is_alphanumeric() && !begins => word.extend(c.to_lowercase()),
                _ if c.is_alphanumeric() => words.push((number, c.to_lowercase().collect())),
                // Blanks, and the characters of names and comment markers.
                _ if c.is_whitespace() || "_-/!#".contains(c) => {}
                _ => words.push((number, String::new())),
            }
            before = c;
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let list = List::read("# a | b\nbad word | say so\nworse | avoid\n= a bad word here\n");
        list.problems("a.rs", text).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn phrase_is_found_in_names_and_across_lines() {
        let text = "// A bad word.\nfn bad_word() { BadWord }\n/// so bad\n/// word, BAD_WORD\nis_worse";
        let lines = ["1", "2", "2", "3", "4"].map(|line| format!("a.rs:{line}: `bad word`: say so"));
        assert_eq!(found(text), [&lines[..], &["a.rs:5: `worse`: avoid".to_owned()]].concat());
    }

    #[test]
    fn longer_word_and_separated_words_are_allowed() {
        assert_eq!(found("worsen badword bad. Word bad(word) b"), [""; 0]);
    }

    #[test]
    fn shared_text_is_allowed() {
        assert_eq!(found("let a = \"a bad word here\";"), [""; 0]);
    }

    #[test]
    fn each_line_of_the_list_is_read() {
        let list = List::read(LIST);
        let lines = LIST.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count();
        assert_eq!(list.phrases.len() + list.allowed.len(), lines);
    }
}
