//! Replaces fragments of a function's text.

use queue_postgres::tokio_postgres::Client;

/// The placeholder in a replacement for a true condition that counts the mutation as reached.
pub(crate) const REACHED: &str = "{reached}";

const DEFINITION: &str = "SELECT pg_get_functiondef(p.oid) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace \
    WHERE n.nspname = $1 AND p.proname = $2";

/// A change that breaks a function.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mutation {
    pub(crate) function: &'static str,
    /// Each fragment, at all its occurrences, with its replacement. White space may differ.
    pub(crate) replaced: &'static [(&'static str, &'static str)],
}

impl Mutation {
    /// Changes the function in this schema. `sequence` counts how often the change was reached.
    pub(crate) async fn apply(self, client: &Client, schema: &str, sequence: &str) {
        let row = client.query_one(DEFINITION, &[&schema, &self.function]).await;
        let mut text: String =
            row.unwrap_or_else(|_| panic!("there is no function `{}`", self.function)).get(0);
        let mut counts = false;
        for (fragment, instead) in self.replaced {
            let is_counted = instead.contains(REACHED);
            let reached = format!("(nextval('{sequence}') > 0)");
            text = replaced(&text, fragment, &instead.replace(REACHED, &reached))
                .unwrap_or_else(|| panic!("`{fragment}` is not in the function `{}`: {text}", self.function));
            counts |= is_counted;
        }
        assert!(counts, "the mutation of `{}` cannot be shown to have been reached", self.function);
        client.batch_execute(&text).await.unwrap_or_else(|error| panic!("{error:?}: {text}"));
    }
}

/// The text with every occurrence of the fragment replaced; `None` if there is none.
fn replaced(text: &str, fragment: &str, instead: &str) -> Option<String> {
    let mut rest = text;
    let mut changed = String::new();
    while let Some((start, end)) = found(rest, fragment) {
        changed += &rest[..start];
        changed += instead;
        rest = &rest[end..];
    }
    (rest.len() < text.len()).then(|| changed + rest)
}

/// The position of the first occurrence of the fragment. White space between its words may differ.
fn found(text: &str, fragment: &str) -> Option<(usize, usize)> {
    let words: Vec<&str> = fragment.split_whitespace().collect();
    let (first, others) = words.split_first()?;
    text.match_indices(first).find_map(|(start, _)| {
        let mut end = start + first.len();
        for word in others {
            let rest = text[end..].trim_start();
            end = text.len() - rest.strip_prefix(word)?.len();
        }
        Some((start, end))
    })
}

#[test]
fn each_fragment_is_replaced_or_missed() {
    let text = "ORDER BY a.id\n    FOR UPDATE; x; ORDER  BY a.id FOR UPDATE";
    assert_eq!(replaced(text, "BY a.id FOR UPDATE", "BY b"), Some("ORDER BY b; x; ORDER  BY b".to_owned()));
    assert_eq!(replaced(text, "BY a.id FOR SHARE", "BY b"), None);
}
