//! The generated code.

use std::time::Duration;

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Ident, Path};

use crate::options::{JobOptions, Options};
use crate::schedule::Schedule;
use crate::unique::Unique;
use crate::value::Backoff;

/// Returns the implementation of the trait `Task`.
pub(crate) fn task(name: &Ident, options: &Options) -> TokenStream {
    let Options { kind, output, crate_path, job, schedule } = options;
    let unique = job.unique.as_ref().map(|unique| unique_method(crate_path, unique));
    let schedule = schedule.as_ref().map(|schedule| schedule_method(crate_path, schedule));
    let job = job_options(crate_path, job);
    quote! {
        #[automatically_derived]
        impl #crate_path::Task for #name {
            const KIND: &'static str = #kind;
            type Output = #output;

            fn options() -> #crate_path::TaskOptions {
                #job
            }

            #unique

            #schedule
        }
    }
}

fn job_options(crate_path: &Path, job: &JobOptions) -> TokenStream {
    let setters = [
        job.priority.map(|priority| quote!(.priority(#priority))),
        job.max_retries.map(|retries| quote!(.max_retries(#retries))),
        job.timeout.map(duration).map(|timeout| quote!(.timeout(#timeout))),
        job.backoff.as_ref().map(policy).map(|policy| quote!(.retry(#crate_path::RetryPolicy::#policy))),
    ];
    let options = quote!(#crate_path::TaskOptions::new() #(#setters)*);
    let Some(queue) = &job.queue else { return options };
    // The macro has checked the name, but the type of names has no constructor without an error.
    quote! {
        let options = #options;
        match #crate_path::QueueName::new(#queue) {
            ::core::result::Result::Ok(queue) => options.queue(queue),
            ::core::result::Result::Err(_) => options,
        }
    }
}

fn unique_method(crate_path: &Path, unique: &Unique) -> TokenStream {
    let Unique { fields, keep, per } = unique;
    let value = match fields.as_slice() {
        [] => quote!(self),
        [field] => quote!(&self.#field),
        fields => quote!(&(#(&self.#fields),*)),
    };
    let setters = [
        keep.map(duration).map(|keep| quote!(.keep(#keep))),
        per.map(duration).map(|per| quote!(.per(#per))),
    ];
    quote! {
        fn unique(&self) -> ::core::option::Option<#crate_path::Unique> {
            ::core::option::Option::Some(#crate_path::Unique::by(#value) #(#setters)*)
        }
    }
}

fn schedule_method(crate_path: &Path, schedule: &Schedule) -> TokenStream {
    let (times, span) = match schedule {
        Schedule::Cron { expression, zone } => {
            let zone = zone.as_ref().map(|zone| quote!(.zone(#zone)));
            (quote!(cron(#expression) #zone), expression.span())
        }
        Schedule::Every { interval, span } => {
            let interval = duration(*interval);
            (quote!(every(#interval)), *span)
        }
    };
    // A type without a default is an error at the option.
    let payload = quote_spanned!(span=> <Self as ::core::default::Default>::default());
    quote! {
        fn schedule() -> ::core::option::Option<(#crate_path::Schedule, Self)> {
            ::core::option::Option::Some((#crate_path::Schedule::#times, #payload))
        }
    }
}

/// The call of a constructor of `RetryPolicy`.
fn policy(backoff: &Backoff) -> TokenStream {
    match backoff {
        Backoff::Fixed(delay) => {
            let delay = duration(*delay);
            quote!(fixed(#delay))
        }
        Backoff::List(delays) => {
            let delays = delays.iter().copied().map(duration);
            quote!(list([#(#delays),*]))
        }
        Backoff::Exponential { base, cap } => {
            let (base, cap) = (duration(*base), duration(*cap));
            quote!(exponential(#base, #cap))
        }
    }
}

fn duration(duration: Duration) -> TokenStream {
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    quote!(::core::time::Duration::new(#seconds, #nanos))
}
