//! Reads the paths in a module that begin with `crate`, `self` or `super`.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::{Attribute, Meta, Path, UseTree};

/// The names from the root of the crate to a module or an item in it.
pub(super) type ModulePath = Vec<String>;

/// The imports of one module from its own crate, with lines.
#[derive(Debug)]
pub(super) struct Imports {
    module: ModulePath,
    pub(super) found: Vec<(ModulePath, usize)>,
}

impl Imports {
    pub(super) fn new(module: &[String]) -> Self {
        Self { module: module.to_vec(), found: Vec::new() }
    }

    /// Adds the paths of a `use`.
    pub(super) fn add_use(&mut self, tree: &UseTree) {
        self.add_tree(&[], tree);
    }

    /// Adds a path in code.
    pub(super) fn add_path(&mut self, path: &Path) {
        let names = path.segments.iter().map(|segment| segment.ident.to_string());
        let names: Vec<String> = names.collect();
        if let Some(first) = path.segments.first() {
            self.add(&names, first.ident.span());
        }
    }

    /// Adds the paths among the tokens of a macro call, which `syn` does not parse.
    pub(super) fn add_tokens(&mut self, tokens: TokenStream) {
        let mut names: Vec<String> = Vec::new();
        let mut start = Span::call_site();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.add(&std::mem::take(&mut names), start);
                        start = ident.span();
                    }
                    names.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.add(&std::mem::take(&mut names), start);
                    self.add_tokens(group.stream());
                    colons = 0;
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    self.add(&std::mem::take(&mut names), start);
                    colons = 0;
                }
            }
        }
        self.add(&names, start);
    }

    fn add_tree(&mut self, before: &[String], tree: &UseTree) {
        match tree {
            UseTree::Path(path) => {
                let names = [before, &[path.ident.to_string()]].concat();
                self.add_tree(&names, &path.tree);
            }
            UseTree::Name(name) => self.add_name(before, &name.ident),
            UseTree::Rename(rename) => self.add_name(before, &rename.ident),
            UseTree::Glob(glob) => self.add(before, glob.star_token.spans[0]),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_tree(before, tree)),
        }
    }

    fn add_name(&mut self, before: &[String], ident: &syn::Ident) {
        self.add(&[before, &[ident.to_string()]].concat(), ident.span());
    }

    fn add(&mut self, names: &[String], span: Span) {
        if let Some(path) = resolve(&self.module, names) {
            self.found.push((path, span.start().line));
        }
    }
}

/// Resolves a path to names from the root of the crate. `None` if it does not begin there.
fn resolve(module: &[String], names: &[String]) -> Option<ModulePath> {
    let mut path = match names.first()?.as_str() {
        "crate" => Vec::new(),
        "self" | "super" => module.to_vec(),
        _ => return None,
    };
    for name in names {
        match name.as_str() {
            "crate" | "self" => {}
            "super" => drop(path.pop()?),
            name => path.push(name.to_owned()),
        }
    }
    Some(path)
}

/// Whether an item is compiled only for unit tests.
pub(super) fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => {
            let words = words(list.tokens.clone());
            words.iter().any(|word| word == "test") && !words.iter().any(|word| word == "not")
        }
        _ => false,
    })
}

fn words(tokens: TokenStream) -> Vec<String> {
    let words = |token| match token {
        TokenTree::Ident(ident) => vec![ident.to_string()],
        TokenTree::Group(group) => words(group.stream()),
        _ => Vec::new(),
    };
    tokens.into_iter().flat_map(words).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_resolved_from_their_module() {
        let names = |path: &str| path.split("::").map(str::to_owned).collect::<Vec<_>>();
        let resolved = |path| resolve(&names("a::b"), &names(path)).map(|path| path.join("::"));
        assert_eq!(resolved("crate::c::D").as_deref(), Some("c::D"));
        assert_eq!(resolved("super::c").as_deref(), Some("a::c"));
        assert_eq!(resolved("self::super::super::c").as_deref(), Some("c"));
        assert_eq!(resolved("std::fmt"), None);
        assert_eq!(resolved("super::super::super::c"), None);
    }

    #[test]
    fn test_only_code_is_recognized() {
        let is_for_tests = |code| is_for_tests(&syn::parse_str::<syn::ItemMod>(code).unwrap().attrs);
        assert!(is_for_tests("#[cfg(test)] mod tests {}"));
        assert!(is_for_tests("#[cfg(all(test, feature = \"a\"))] mod tests {}"));
        assert!(!is_for_tests("#[cfg(not(test))] mod code {}"));
        assert!(!is_for_tests("#[cfg(feature = \"test\")] mod code {}"));
    }
}
