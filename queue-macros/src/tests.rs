use queue_core::Kind;
use queue_core::limits::MAX_NAME_BYTES;
use quote::quote;
use syn::{Result, parse_str};

use crate::{expand, options};

fn derive(input: &str) -> Result<String> {
    let input = parse_str(input)?;
    let (options, errors) = options::read(&input);
    errors.map_or_else(|| Ok(expand::task(&input.ident, &options).to_string()), Err)
}

fn faults_of(input: &str) -> Vec<String> {
    derive(input).map_or_else(|all| all.into_iter().map(|error| error.to_string()).collect(), |_| Vec::new())
}

/// Returns the faults of `#[task(kind = "a", …)]` with these options.
fn faults(options: &str) -> Vec<String> {
    faults_of(&format!("#[task(kind = \"a\", {options})] struct Job;"))
}

#[track_caller]
fn assert_fault(options: &str, expected: &str) {
    assert_eq!(faults(options), [expected], "{options}");
}

#[test]
fn kind_alone_sets_no_other_option() {
    let expected = quote! {
        #[automatically_derived]
        impl ::queue::Task for Job {
            const KIND: &'static str = "a";
            type Output = ();
            fn options() -> ::queue::TaskOptions {
                ::queue::TaskOptions::new()
            }
        }
    };
    assert_eq!(derive("#[task(kind = \"a\")] enum Job { A, B }").unwrap(), expected.to_string());
}

#[test]
fn every_option_is_in_the_implementation() {
    let input = "#[task(kind = \"a\", queue = \"b\", priority = -5, max_retries = 3, crate = \"crate::c\")]
        #[task(timeout = \"1m 30s\", backoff = \"200ms..=1m\", output = Map<A, B>,)] struct Job;";
    let expected = quote! {
        #[automatically_derived]
        impl crate::c::Task for Job {
            const KIND: &'static str = "a";
            type Output = Map<A, B>;
            fn options() -> crate::c::TaskOptions {
                let options = crate::c::TaskOptions::new()
                    .priority(-5i16)
                    .max_retries(3u16)
                    .timeout(::core::time::Duration::new(90u64, 0u32))
                    .retry(crate::c::RetryPolicy::exponential(
                        ::core::time::Duration::new(0u64, 200000000u32),
                        ::core::time::Duration::new(60u64, 0u32)
                    ));
                match crate::c::QueueName::new("b") {
                    ::core::result::Result::Ok(queue) => options.queue(queue),
                    ::core::result::Result::Err(_) => options,
                }
            }
        }
    };
    assert_eq!(derive(input).unwrap(), expected.to_string());
}

#[test]
fn backoff_is_fixed_listed_or_exponential() {
    let policy = |backoff| {
        let code = derive(&format!("#[task(kind = \"a\", backoff = \"{backoff}\")] struct Job;")).unwrap();
        let (_, policy) = code.split_once(". retry (").unwrap();
        policy.split_once(") } }").unwrap().0.trim().to_owned()
    };
    let seconds = |seconds: u64| quote!(::core::time::Duration::new(#seconds, 0u32));
    let (one, ten, minute) = (seconds(1), seconds(10), seconds(60));
    let expected = [
        ("1m", quote!(fixed(#minute))),
        (" 1m ", quote!(fixed(#minute))),
        ("1s, 10s,1m", quote!(list([#one, #ten, #minute]))),
        ("10s, 1s", quote!(list([#ten, #one]))),
        ("1s..1m", quote!(exponential(#one, #minute))),
        ("1s ..= 1s", quote!(exponential(#one, #one))),
    ];
    for (backoff, call) in expected {
        assert_eq!(policy(backoff), quote!(::queue::RetryPolicy::#call).to_string(), "{backoff}");
    }
}

/// The generated code cannot report an invalid name, so the macro must refuse what the library
/// refuses.
#[test]
fn names_have_the_rules_of_the_library() {
    let long = "x".repeat(MAX_NAME_BYTES + 1);
    for name in ["", "a b", "a\t", "a\u{a0}b", "a\0", long.as_str()] {
        let faults = faults(&format!("queue = {name:?}"));
        let error = Kind::new(name).unwrap_err().to_string();
        assert!(faults.len() == 1 && error.ends_with(&faults[0]), "{faults:?}, {error}");
    }
    for name in ["send-email", "é", &long[1..]] {
        assert_eq!(faults(&format!("queue = {name:?}")), [""; 0]);
        assert!(Kind::new(name).is_ok());
    }
}

#[test]
fn missing_kind_is_reported_once() {
    let missing = "missing kind: add `#[task(kind = \"…\")]`";
    for input in ["struct Job;", "#[task()] struct Job;", "#[task(priority = 1)] struct Job;"] {
        assert_eq!(faults_of(input), [missing]);
    }
    assert_eq!(faults_of("#[task(kind = \"\")] struct Job;"), ["the name is empty"]);
    let no_name = "expected an option, e.g. `kind = \"send-email\"`";
    assert_eq!(faults_of("#[task(\"a\")] struct Job;"), [no_name, missing]);
}

#[test]
fn unknown_option_suggests_the_known_ones() {
    assert_fault("name = \"b\"", "unknown option `name`: did you mean `kind`?");
    assert_fault("retries = 3", "unknown option `retries`: did you mean `max_retries`?");
    assert_fault("result = A", "unknown option `result`: did you mean `output`?");
    for guess in ["concurrency", "schedule"] {
        let known = "`kind`, `queue`, `priority`, `max_retries`, `timeout`, `backoff`, `unique`, `cron`, `tz`, `every`, `output` and `crate`";
        let expected = format!("unknown option `{guess}`; the options are {known}");
        for value in ["", " = \"b\"", "(1, 2)"] {
            assert_fault(&format!("{guess}{value}, priority = 1"), &expected);
        }
    }
}

#[test]
fn value_of_another_form_shows_an_example() {
    let forms: [(&str, &[&str], &str); 7] = [
        ("queue", &["", "= 5", "= mail", "(\"mail\")"], "a name in quotes, e.g. `queue = \"mail\"`"),
        (
            "priority",
            &["= \"5\"", "= 5.0", "= 5 + 1", "= 32768"],
            "an integer from -32768 to 32767, e.g. `priority = 5`",
        ),
        ("max_retries", &["= -1", "= 65536", "= true"], "an integer from 0 to 65535, e.g. `max_retries = 3`"),
        ("timeout", &["= 20", "= 20s"], "a duration in quotes, e.g. `timeout = \"20s\"`"),
        (
            "backoff",
            &["= \"\"", "= \"..=1m\"", "= \"1s..\"", "= \"1s,\"", "= \"1s..2s, 1m\"", "= 1..2", "= 30"],
            "a duration, a list or a range in quotes, e.g. `backoff = \"30s\"`, \
            `backoff = \"1s, 10s, 1m\"` or `backoff = \"200ms..1m\"`",
        ),
        ("output", &["= \"Receipt\"", "="], "a type without quotes, e.g. `output = Receipt`"),
        ("crate", &["= queue_core", "= \"a b\""], "a path in quotes, e.g. `crate = \"queue_core\"`"),
    ];
    for (option, values, form) in forms {
        for value in values {
            assert_fault(&format!("{option} {value}"), &format!("`{option}` must be {form}"));
        }
    }
}

#[test]
fn invalid_duration_states_the_cause() {
    let no_unit =
        "`20` is not a duration, e.g. `20s` or `1h 30m`: time unit needed, for example 20sec or 20ms";
    assert_fault("timeout = \"20\"", no_unit);
    assert_fault("backoff = \"20\"", no_unit);
    assert_fault("backoff = \"1s, 20\"", no_unit);
    assert_fault("backoff = \"1s..20\"", no_unit);
    assert_fault("timeout = \"0s\"", "a timeout of `0s` is too short, the minimum is `1us`");
    assert_fault("backoff = \"1m..1s\"", "the cap `1s` is below the base `1m`");
}

#[test]
fn all_faults_are_reported() {
    let all =
        faults_of("#[task(priority = 5 + 1, queue = \"\", kind = 5, queue = \"b\", x)] struct Job<'a>;");
    let starts =
        ["a task must own", "`priority` must", "the name is", "`queue` is given twice", "unknown", "`kind`"];
    assert_eq!(all.len(), starts.len(), "{all:?}");
    assert!(all.iter().zip(starts).all(|(fault, start)| fault.starts_with(start)), "{all:?}");
}

#[test]
fn type_that_cannot_be_a_task_is_refused() {
    let with_kind = |item| faults_of(&format!("#[task(kind = \"a\")] {item}"));
    let own = "a task must own its payload: use owned types without lifetimes, e.g. `String` for `&str`";
    assert_eq!(with_kind("struct Job<'a>(&'a str);"), [own]);
    for item in ["struct Job<T>(T);", "enum Job<const N: usize> { A([u8; N]) }"] {
        let faults = with_kind(item);
        assert!(faults.len() == 1 && faults[0].starts_with("a task must not be generic"), "{faults:?}");
    }
    assert_eq!(with_kind("union Job { a: u8 }"), ["a task must be a struct or an enum"]);
    for item in ["struct Job { #[task(queue = \"b\")] a: u8 }", "enum Job { #[task(queue = \"b\")] A }"] {
        assert_eq!(with_kind(item), ["`#[task(…)]` must be on the type itself"]);
    }
}

#[test]
fn unique_is_by_fields_or_by_the_whole_payload() {
    let method = |options: &str| {
        let input = format!("#[task(kind = \"a\", {options})] struct Job {{ order: i64, region: String }}");
        let all = derive(&input).unwrap();
        let start = all.find("fn unique").unwrap();
        all[start..].trim_end_matches([' ', '}']).to_owned() + " }"
    };
    let expected = |by: proc_macro2::TokenStream| {
        let method = quote! {
            fn unique(&self) -> ::core::option::Option<::queue::Unique> {
                ::core::option::Option::Some(#by)
            }
        };
        method.to_string()
    };
    assert_eq!(method("unique"), expected(quote!(::queue::Unique::by(self))));
    assert_eq!(method("unique(order)"), expected(quote!(::queue::Unique::by(&self.order))));
    let both = quote! {
        ::queue::Unique::by(&(&self.order, &self.region))
            .keep(::core::time::Duration::new(7776000u64, 0u32))
            .per(::core::time::Duration::new(3600u64, 0u32))
    };
    assert_eq!(method("unique(order, region, keep = \"90d\", per = \"1h\")"), expected(both));
}

#[test]
fn unique_names_the_wrong_field_or_option() {
    let fault = |options: &str| {
        let input = format!("#[task(kind = \"a\", {options})] struct Job {{ order: i64, region: String }}");
        faults_of(&input)
    };
    let no_field = "the task has no field `ordr`; its fields are `order`, `region`";
    assert_eq!(fault("unique(ordr)"), [no_field]);
    assert_eq!(fault("unique(order, order)"), ["the field is listed twice"]);
    let unknown = "unknown option `until` of `unique`; the options are `keep` and `per`";
    assert_eq!(fault("unique(order, until = \"1d\")"), [unknown]);
    assert_eq!(fault("unique(order, keep = \"0s\")"), ["`keep` must not be zero"]);
    assert_eq!(fault("unique(keep = \"1d\", keep = \"1d\")"), ["`keep` is given twice"]);
    let form = "`unique` must list fields, e.g. `unique(order, keep = \"90d\")`, or be alone for the whole \
        payload";
    assert_eq!(fault("unique = \"order\""), [form]);
    let of_enum = "#[task(kind = \"a\", unique(order))] enum Job { A, B }";
    let only = "only a struct has fields to list; `unique` alone is the whole payload";
    assert_eq!(faults_of(of_enum), [only]);
    assert_eq!(faults_of("#[task(kind = \"a\", unique)] enum Job { A, B }"), [""; 0]);
    assert_eq!(faults_of("#[task(kind = \"a\", unique(0))] struct Job(i64);"), [""; 0]);
}

#[cfg(feature = "schedules")]
#[test]
fn schedule_is_a_cron_expression_or_an_interval() {
    let schedule = |options: &str| {
        let code = derive(&format!("#[task(kind = \"a\", {options})] struct Job;")).unwrap();
        code.split_once("Some ((").unwrap().1.split_once(", <").unwrap().0.trim().to_owned()
    };
    let berlin = quote!(::queue::Schedule::cron("30 2 * * *").zone("Europe/Berlin"));
    assert_eq!(schedule(r#"cron = "30 2 * * *", tz = "Europe/Berlin""#), berlin.to_string());
    let often = quote!(::queue::Schedule::every(::core::time::Duration::new(10u64, 0u32)));
    assert_eq!(schedule(r#"every = "10s""#), often.to_string());
    assert_eq!(crate::schedule::MIN_INTERVAL, queue_core::limits::MIN_SCHEDULE_INTERVAL);
}

#[cfg(feature = "schedules")]
#[test]
fn wrong_schedules_are_errors() {
    assert_fault(
        r#"cron = "30 25 * * *""#,
        "the hour `25` of the cron expression `30 25 * * *` is wrong: number out of bounds",
    );
    assert_fault(
        r#"cron = "0 0 30 2 *""#,
        "the cron expression `0 0 30 2 *` never fires, because no year has such a day",
    );
    assert_fault(
        r#"cron = "@daily", tz = "Europe/Berln""#,
        "there is no time zone `Europe/Berln`: names are those of the IANA database, such as `Europe/Berlin` or `UTC`",
    );
    assert_fault(r#"cron = "@daily", every = "1h""#, "give `cron` or `every`, not both");
    assert_fault(r#"every = "1h", tz = "UTC""#, "an interval has no time zone");
    assert_fault(r#"every = "999ms""#, "the interval `999ms` is too short, the minimum is `1s`");
    assert_fault(r#"tz = "UTC""#, "`tz` needs `cron`");
    assert_fault(r#"interval = "1h""#, "unknown option `interval`: did you mean `every`?");
}

#[cfg(not(feature = "schedules"))]
#[test]
fn schedule_needs_its_feature() {
    assert_fault(
        r#"cron = "@daily", tz = "UTC""#,
        "schedules need the feature `schedules` of the crate `queue`",
    );
    assert_fault(r#"every = "1h""#, "schedules need the feature `schedules` of the crate `queue`");
}
