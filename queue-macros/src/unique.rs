//! The option `unique`: which fields make a job unique, and for how long.

use std::time::Duration;

use proc_macro2::TokenTree;
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Data, DeriveInput, Error, Ident, Member, Result, Token, parenthesized, token};

use crate::value;

const FORM: &str = "`unique` must list fields, e.g. `unique(order, keep = \"90d\")`, or be alone for the \
    whole payload";

/// The value of the option.
pub(crate) struct Unique {
    /// Empty for the whole payload.
    pub(crate) fields: Vec<Member>,
    pub(crate) keep: Option<Duration>,
    pub(crate) per: Option<Duration>,
}

/// Reads what follows `unique`.
pub(crate) fn read(input: ParseStream<'_>) -> Result<Unique> {
    let mut unique = Unique { fields: Vec::new(), keep: None, per: None };
    if value::at_end(input) {
        return Ok(unique);
    }
    if !input.peek(token::Paren) {
        return Err(Error::new(input.span(), FORM));
    }
    let parts;
    parenthesized!(parts in input);
    let read = read_parts(&parts, &mut unique);
    // Otherwise the rest would be a second error.
    while !parts.is_empty() {
        parts.parse::<TokenTree>()?;
    }
    read.map(|()| unique)
}

fn read_parts(parts: ParseStream<'_>, unique: &mut Unique) -> Result<()> {
    while !parts.is_empty() {
        read_part(parts, unique)?;
        if !parts.is_empty() {
            parts.parse::<Token![,]>().map_err(|error| Error::new(error.span(), FORM))?;
        }
    }
    Ok(())
}

fn read_part(parts: ParseStream<'_>, unique: &mut Unique) -> Result<()> {
    if parts.peek2(Token![=]) {
        let name = parts.call(Ident::parse_any)?;
        let set = match name.to_string().as_str() {
            "keep" => &mut unique.keep,
            "per" => &mut unique.per,
            other => {
                let fault = format!("unknown option `{other}` of `unique`; the options are `keep` and `per`");
                return Err(Error::new(name.span(), fault));
            }
        };
        if set.is_some() {
            return Err(Error::new(name.span(), format!("`{name}` is given twice")));
        }
        *set = Some(value::period(parts, &name)?);
        return Ok(());
    }
    let field: Member = parts.parse().map_err(|error| Error::new(error.span(), FORM))?;
    if unique.fields.contains(&field) {
        return Err(Error::new_spanned(&field, "the field is listed twice"));
    }
    unique.fields.push(field);
    Ok(())
}

/// Checks that the type has the fields.
pub(crate) fn check(unique: &Unique, input: &DeriveInput) -> Result<()> {
    let Data::Struct(data) = &input.data else {
        return match unique.fields.first() {
            Some(field) => {
                let fault = "only a struct has fields to list; `unique` alone is the whole payload";
                Err(Error::new_spanned(field, fault))
            }
            None => Ok(()),
        };
    };
    let known: Vec<Member> = data.fields.members().collect();
    match unique.fields.iter().find(|field| !known.contains(field)) {
        Some(field) => Err(Error::new_spanned(field, no_field(field, &known))),
        None => Ok(()),
    }
}

fn no_field(field: &Member, known: &[Member]) -> String {
    let text = |member: &Member| match member {
        Member::Named(name) => format!("`{name}`"),
        Member::Unnamed(index) => format!("`{}`", index.index),
    };
    match known {
        [] => format!("the task has no field {}; it has none at all", text(field)),
        known => {
            let known: Vec<String> = known.iter().map(text).collect();
            format!("the task has no field {}; its fields are {}", text(field), known.join(", "))
        }
    }
}
