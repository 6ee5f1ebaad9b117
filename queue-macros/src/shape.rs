//! Checks of the type itself.

use syn::{Attribute, Data, DeriveInput, Error, Fields, GenericParam};

use crate::errors::Errors;

const BORROWED: &str =
    "a task must own its payload: use owned types without lifetimes, e.g. `String` for `&str`";
const GENERIC: &str = "a task must not be generic, because a kind has one payload type; \
    implement `Task` by hand for each concrete type";
const UNION: &str = "a task must be a struct or an enum";
const MISPLACED: &str = "`#[task(…)]` must be on the type itself";

/// Adds an error for all that cannot be a task.
pub(crate) fn check(input: &DeriveInput, errors: &mut Errors) {
    for parameter in &input.generics.params {
        let message = match parameter {
            GenericParam::Lifetime(_) => BORROWED,
            GenericParam::Type(_) | GenericParam::Const(_) => GENERIC,
        };
        errors.push(Error::new_spanned(parameter, message));
    }
    match &input.data {
        Data::Struct(data) => check_fields(&data.fields, errors),
        Data::Enum(data) => {
            for variant in &data.variants {
                check_attributes(&variant.attrs, errors);
                check_fields(&variant.fields, errors);
            }
        }
        Data::Union(data) => errors.push(Error::new(data.union_token.span, UNION)),
    }
}

fn check_fields(fields: &Fields, errors: &mut Errors) {
    for field in fields {
        check_attributes(&field.attrs, errors);
    }
}

/// Refuses `#[task(…)]` within the type, because otherwise it would be ignored.
fn check_attributes(attributes: &[Attribute], errors: &mut Errors) {
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("task")) {
        errors.push(Error::new_spanned(attribute, MISPLACED));
    }
}
