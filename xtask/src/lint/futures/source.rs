//! Finds the public futures of Rust code. It trusts `pub`, because the compiler reports unreachable
//! public items.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use syn::visit::{Visit, visit_path_segment};
use syn::{
    Attribute, ImplItem, Item, ItemImpl, ItemTrait, Path, PathSegment, ReturnType, Signature, TraitItem,
    Type, Visibility,
};

use super::Name;

/// The futures and types of the files read.
#[derive(Debug, Default)]
pub(super) struct Source {
    futures: Vec<(Name, String)>,
    /// The traits with async methods.
    traits: BTreeSet<String>,
    types: BTreeSet<Name>,
    /// The type, the trait and the file of each implementation.
    implementations: Vec<(Name, String, String)>,
}

impl Source {
    /// Reads a file of a package.
    pub(super) fn read(&mut self, package: &str, path: &str, code: &str) -> Result<()> {
        let file = syn::parse_file(code).with_context(|| format!("failed to parse {path}"))?;
        File { source: self, package, path }.items(&file.items);
        Ok(())
    }

    /// Every public future with its file, and every public type that implements a trait with async
    /// methods.
    pub(super) fn futures(&self) -> Vec<(Name, String)> {
        let mut all = self.futures.clone();
        for (name, implemented, path) in &self.implementations {
            let is_awaited = implemented == "Future" || implemented == "IntoFuture";
            if self.types.contains(name) && (self.traits.contains(implemented) || is_awaited) {
                let item = format!("{}: {implemented}", name.item);
                all.push((Name { item, ..name.clone() }, path.clone()));
            }
        }
        all.sort();
        all.dedup();
        all
    }
}

struct File<'a> {
    source: &'a mut Source,
    package: &'a str,
    path: &'a str,
}

impl File<'_> {
    fn items(&mut self, items: &[Item]) {
        for item in items {
            match item {
                Item::Fn(function) if is_public(&function.vis) && is_future(&function.sig) => {
                    self.add(function.sig.ident.to_string());
                }
                Item::Struct(item) if is_public(&item.vis) => self.add_type(&item.ident),
                Item::Enum(item) if is_public(&item.vis) => self.add_type(&item.ident),
                Item::Trait(item) if is_public(&item.vis) => self.add_trait(item),
                Item::Impl(item) => self.add_impl(item),
                Item::Mod(module) if !is_for_tests(&module.attrs) => {
                    if let Some((_, items)) = &module.content {
                        self.items(items);
                    }
                }
                _ => {}
            }
        }
    }

    fn name(&self, item: impl Into<String>) -> Name {
        Name { package: self.package.to_owned(), item: item.into() }
    }

    fn add(&mut self, item: String) {
        self.source.futures.push((self.name(item), self.path.to_owned()));
    }

    fn add_type(&mut self, ident: &syn::Ident) {
        self.source.types.insert(self.name(ident.to_string()));
    }

    fn add_trait(&mut self, item: &ItemTrait) {
        for member in &item.items {
            if let TraitItem::Fn(method) = member
                && is_future(&method.sig)
            {
                self.source.traits.insert(item.ident.to_string());
                self.add(format!("{}::{}", item.ident, method.sig.ident));
            }
        }
    }

    fn add_impl(&mut self, item: &ItemImpl) {
        let Type::Path(of) = &*item.self_ty else { return };
        let Some(of) = last(&of.path) else { return };
        if let Some(implemented) = item.trait_.as_ref().and_then(|implemented| last(&implemented.0)) {
            self.source.implementations.push((self.name(of), implemented, self.path.to_owned()));
            return;
        }
        for member in &item.items {
            if let ImplItem::Fn(method) = member
                && is_public(&method.vis)
                && is_future(&method.sig)
            {
                self.add(format!("{of}::{}", method.sig.ident));
            }
        }
    }
}

fn last(path: &Path) -> Option<String> {
    path.segments.last().map(|segment| segment.ident.to_string())
}

const fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    let is_test = |attribute: &Attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<Path>().is_ok_and(|path| path.is_ident("test"))
    };
    attributes.iter().any(is_test)
}

/// Whether this is an `async fn`, or returns a type whose name ends with `Future`.
fn is_future(signature: &Signature) -> bool {
    let ReturnType::Type(_, returned) = &signature.output else { return signature.asyncness.is_some() };
    let mut finder = Finder::default();
    finder.visit_type(returned);
    signature.asyncness.is_some() || finder.found
}

/// Searches a type for `Future`, `BoxFuture`, `EnvironmentFuture`, ….
#[derive(Default)]
struct Finder {
    found: bool,
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_path_segment(&mut self, segment: &'ast PathSegment) {
        self.found |= segment.ident.to_string().ends_with("Future");
        visit_path_segment(self, segment);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn futures(code: &str) -> Vec<String> {
        let mut source = Source::default();
        source.read("a", "a/src/lib.rs", code).unwrap();
        source.futures().into_iter().map(|(name, _)| name.item).collect()
    }

    #[test]
    fn each_form_of_public_future_is_found() {
        let code = "
            pub async fn connect() {}
            pub fn sleep() -> BoxFuture<'static, ()> { todo() }
            pub fn rest() -> Pin<Box<dyn Future<Output = ()> + Send>> { todo() }
            pub fn quick() -> Option<u32> { None }
            pub(crate) async fn ours() {}
            #[async_trait] pub trait Store { async fn insert(&self); fn name(&self) -> &str; }
            pub trait Task { fn run(self) -> impl Future<Output = ()> + Send; }
            trait Hidden { async fn go(&self); }
            mod inner { pub async fn within() {} }
            #[cfg(test)] mod tests { pub async fn in_a_test() {} }
        ";
        assert_eq!(futures(code), ["Store::insert", "Task::run", "connect", "rest", "sleep", "within"]);
    }

    #[test]
    fn async_trait_implementation_is_one_name() {
        let code = "
            pub trait Store { async fn insert(&self); }
            pub struct Memory;
            struct Ours;
            pub enum Ready { Now }
            impl Store for Memory { async fn insert(&self) {} }
            impl Store for Ours { async fn insert(&self) {} }
            impl<S: Store> Store for std::sync::Arc<S> { async fn insert(&self) {} }
            impl Debug for Memory {}
            impl Future for Ready {}
            pub struct Request;
            impl IntoFuture for Request {}
        ";
        let expected = ["Memory: Store", "Ready: Future", "Request: IntoFuture", "Store::insert"];
        assert_eq!(futures(code), expected);
    }
}
