//! Reads the modules of a crate and their imports.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use syn::visit::{Visit, visit_item};
use syn::{Attribute, Expr, ExprLit, Item, ItemMod, Lit, Meta};

use super::paths::{Imports, ModulePath, is_for_tests};

/// A path in a module that leads into the same crate.
#[derive(Debug)]
pub(super) struct Import {
    pub(super) from: ModulePath,
    /// A module, or something in one.
    pub(super) to: ModulePath,
    pub(super) path: String,
    pub(super) line: usize,
}

/// The modules and imports of a crate.
#[derive(Debug)]
pub(super) struct Crate {
    /// The folder of the root file.
    folder: String,
    modules: BTreeSet<ModulePath>,
    pub(super) imports: Vec<Import>,
}

impl Crate {
    /// Reads the crate with this root file, without the modules of its unit tests.
    pub(super) fn read(
        root: &str,
        read: &dyn Fn(&str) -> Result<String>,
        exists: &dyn Fn(&str) -> bool,
    ) -> Result<Self> {
        let folder = folder_of(root).to_owned();
        let parsed = Self { folder: folder.clone(), modules: BTreeSet::new(), imports: Vec::new() };
        let mut reader = Reader { parsed, read, exists };
        reader.file(root, &folder, &[])?;
        Ok(reader.parsed)
    }

    /// The longest prefix of a path that is a module.
    pub(super) fn module_of<'a>(&self, path: &'a [String]) -> &'a [String] {
        let is_module = |end: &usize| self.modules.contains(&path[..*end]);
        let end = (1..=path.len()).take_while(is_module).last().unwrap_or(0);
        &path[..end]
    }

    /// The usual folder of the modules inside a module.
    pub(super) fn folder(&self, module: &[String]) -> String {
        let parts = std::iter::once(self.folder.as_str()).chain(module.iter().map(String::as_str));
        parts.collect::<Vec<_>>().join("/")
    }
}

struct Reader<'a> {
    parsed: Crate,
    read: &'a dyn Fn(&str) -> Result<String>,
    exists: &'a dyn Fn(&str) -> bool,
}

impl Reader<'_> {
    /// Reads a file. `inside` is the folder of its child modules.
    fn file(&mut self, path: &str, inside: &str, module: &[String]) -> Result<()> {
        let code = (self.read)(path)?;
        let file = syn::parse_file(&code).with_context(|| format!("failed to parse {path}"))?;
        self.items(&file.items, path, inside, module)
    }

    fn items(&mut self, items: &[Item], path: &str, inside: &str, module: &[String]) -> Result<()> {
        let mut visitor = Visitor { imports: Imports::new(module), inner: Vec::new() };
        items.iter().for_each(|item| visitor.visit_item(item));
        let Visitor { imports, inner } = visitor;
        let import = |(to, line)| Import { from: module.to_vec(), to, path: path.to_owned(), line };
        self.parsed.imports.extend(imports.found.into_iter().map(import));
        for inner in inner {
            let name = inner.ident.to_string();
            let module = [module, std::slice::from_ref(&name)].concat();
            let folder = format!("{inside}/{name}");
            if let Some((_, items)) = &inner.content {
                self.items(items, path, &folder, &module)?;
            } else if let Some(file) = path_attribute(&inner.attrs) {
                let file = format!("{}/{file}", folder_of(path));
                self.file(&file, folder_of(&file), &module)?;
            } else {
                let candidates = [format!("{folder}.rs"), format!("{folder}/mod.rs")];
                let Some(file) = candidates.iter().find(|file| (self.exists)(file)) else {
                    bail!("there is no file for the module `{name}` of {path}");
                };
                self.file(file, &folder, &module)?;
            }
            self.parsed.modules.insert(module);
        }
        Ok(())
    }
}

/// Collects the imports of a module and its child modules.
struct Visitor<'ast> {
    imports: Imports,
    inner: Vec<&'ast ItemMod>,
}

impl<'ast> Visit<'ast> for Visitor<'ast> {
    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Mod(inner) if is_for_tests(&inner.attrs) => {}
            Item::Mod(inner) => self.inner.push(inner),
            Item::Use(item) if !is_for_tests(&item.attrs) => self.imports.add_use(&item.tree),
            Item::Fn(item) if is_for_tests(&item.attrs) => {}
            Item::Impl(item) if is_for_tests(&item.attrs) => {}
            Item::Use(_) => {}
            _ => visit_item(self, item),
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.imports.add_path(path);
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.imports.add_tokens(call.tokens.clone());
        syn::visit::visit_macro(self, call);
    }
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn path_attribute(attributes: &[Attribute]) -> Option<String> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("path")).find_map(|attribute| {
        let Meta::NameValue(pair) = &attribute.meta else { return None };
        let Expr::Lit(ExprLit { lit: Lit::Str(path), .. }) = &pair.value else { return None };
        Some(path.value())
    })
}
