//! Random JSON texts.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any};
use proptest::prop_oneof;
use proptest::sample::select;

/// Any JSON text: every white space, number text, escape and order of keys that the format permits.
pub(crate) fn json_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![number(), string(), Just("null".to_owned()), Just("true".to_owned())];
    let value = leaf.prop_recursive(4, 32, 5, |inner| {
        let member = (space(), string(), space(), inner.clone()).prop_map(|(before, key, after, value)| {
            // The same key may occur twice.
            format!("{before}{key}{after}:{value}")
        });
        let list = |open: &'static str, close: &'static str| {
            move |(items, space): (Vec<String>, String)| format!("{open}{}{space}{close}", items.join(","))
        };
        let item =
            (space(), inner, space()).prop_map(|(before, value, after)| format!("{before}{value}{after}"));
        prop_oneof![
            (vec(item, 0..5), space()).prop_map(list("[", "]")),
            (vec(member, 0..5), space()).prop_map(list("{", "}")),
        ]
    });
    (space(), value, space()).prop_map(|(before, value, after)| format!("{before}{value}{after}"))
}

fn space() -> impl Strategy<Value = String> {
    prop_oneof![5 => Just(String::new()), 1 => vec(select(vec![" ", "\n", "\t", "\r"]), 1..4).prop_map(|parts| parts.concat())]
}

fn digits(most: usize) -> impl Strategy<Value = String> {
    vec(0..10_u8, 1..=most).prop_map(|digits| digits.iter().map(ToString::to_string).collect())
}

/// Numbers that exceed the range and precision of every number type.
fn number() -> impl Strategy<Value = String> {
    let whole =
        prop_oneof![Just("0".to_owned()), (1..10_u8, digits(30)).prop_map(|(a, b)| format!("{a}{b}"))];
    let fraction = prop_oneof![Just(String::new()), digits(30).prop_map(|digits| format!(".{digits}"))];
    let sign = select(vec!["e", "E-", "e+", "E"]);
    let exponent = prop_oneof![
        Just(String::new()),
        (sign, digits(4)).prop_map(|(sign, digits)| format!("{sign}{digits}"))
    ];
    (select(vec!["", "-"]), whole, fraction, exponent).prop_map(|(a, b, c, d)| format!("{a}{b}{c}{d}"))
}

fn string() -> impl Strategy<Value = String> {
    let escape = select(vec![
        "\\u0000",
        "\\ud800",
        "\\uDFFF",
        "\\ud83d\\ude00",
        "\\u00e9",
        "\\n",
        "\\\"",
        "\\\\",
        "\\/",
        "\\b",
    ]);
    let literal = any::<char>().prop_map(|char| match char {
        '"' | '\\' => format!("\\{char}"),
        char if char < ' ' => format!("\\u{:04x}", u32::from(char)),
        char => char.to_string(),
    });
    let piece = prop_oneof![2 => literal, 1 => escape.prop_map(str::to_owned)];
    vec(piece, 0..12).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}
