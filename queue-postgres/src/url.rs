//! From a URL to a configuration.

use std::str::FromStr;

use queue_core::{Error, Result};

use crate::config::{Migrate, Pooler, PostgresConfig};

/// The URL without our own parameters goes to the driver.
pub(crate) fn parse(url: &str) -> Result<PostgresConfig> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(refuse("it does not begin with `postgres://`"));
    }
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let (ours, mut theirs) = split(query)?;
    for parameter in &mut theirs {
        if let Some("verify-full" | "verify-ca") = parameter.strip_prefix("sslmode=") {
            *parameter = "sslmode=require".to_owned();
        }
    }
    let rest = if theirs.is_empty() { address.to_owned() } else { format!("{address}?{}", theirs.join("&")) };
    let driver = tokio_postgres::Config::from_str(&rest).map_err(|error| {
        // The driver's message names the part that it cannot read, not its value.
        refuse(&crate::error::chain(&error))
    })?;
    ours.iter().try_fold(PostgresConfig::new(driver), |config, (name, value)| set(config, name, value))
}

type Parameters = Vec<(String, String)>;

fn split(query: &str) -> Result<(Parameters, Vec<String>)> {
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match name {
            "schema" | "connections" | "pgbouncer" | "migrate" | "sslrootcert" => {
                ours.push((name.to_owned(), decoded(name, value)?));
            }
            _ => theirs.push(parameter.to_owned()),
        }
    }
    Ok((ours, theirs))
}

fn set(config: PostgresConfig, name: &str, value: &str) -> Result<PostgresConfig> {
    let wrong = |expected: &str| refuse(&format!("`{name}` is `{}`, not {expected}", value.escape_debug()));
    match name {
        "schema" => config.schema(value),
        "connections" => match value.parse() {
            Ok(connections) if connections > 0 => Ok(config.connections(connections)),
            _ => Err(wrong("a number from 1 on")),
        },
        "pgbouncer" => match value {
            "true" => Ok(config.pooler(Pooler::Transaction)),
            "false" => Ok(config.pooler(Pooler::None)),
            _ => Err(wrong("`true` or `false`")),
        },
        "migrate" => match value {
            "never" => Ok(config.migrate(Migrate::Never)),
            "automatically" => Ok(config),
            _ => Err(wrong("`never` or `automatically`")),
        },
        _ => Ok(config.root_certificates(value)),
    }
}

fn decoded(name: &str, value: &str) -> Result<String> {
    let malformed = || refuse(&format!("the value of `{name}` is not percent-encoded UTF-8"));
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        let byte = if byte == b'%' {
            let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
            let both = digit().zip(digit()).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
            both.ok_or_else(malformed)?
        } else {
            byte
        };
        bytes.push(byte);
    }
    String::from_utf8(bytes).map_err(|_| malformed())
}

/// Without the URL itself: it may hold a password.
fn refuse(fault: &str) -> Error {
    Error::invalid("read the URL of a PostgreSQL database", fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_parameters_are_taken_out_and_the_drivers_are_left() {
        let url = "postgres://ada:s%3Dcret@host:5433/shop?schema=jobs&connect_timeout=3&connections=4\
                   &pgbouncer=true&migrate=never&sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem";
        let config = parse(url).unwrap();
        assert_eq!(config.schema.as_str(), "jobs");
        assert_eq!(
            (config.connections, config.pooler, config.migrate),
            (4, Pooler::Transaction, Migrate::Never)
        );
        assert_eq!(config.root_certificates.as_deref(), Some(std::path::Path::new("/etc/ca.pem")));
        assert_eq!(config.driver.get_user(), Some("ada"));
        assert_eq!(config.driver.get_password(), Some(&b"s=cret"[..]));
        assert_eq!(config.driver.get_connect_timeout().map(std::time::Duration::as_secs), Some(3));
        assert!(config.requires_tls());
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for (url, fault) in [
            ("mysql://ada:secret@host/shop", "postgres://"),
            ("postgres://ada:secret@host/shop?schema=Jobs", "`Jobs`"),
            ("postgres://ada:secret@host/shop?connections=0", "connections"),
            ("postgres://ada:secret@host/shop?pgbouncer=maybe", "`maybe`"),
            ("postgres://ada:secret@host/shop?migrate=x", "`never`"),
            ("postgres://ada:secret@host/shop?schema=%4", "percent"),
            ("postgres://ada:secret@host:port/shop", "port"),
            ("postgres://ada:secret@host/shop?nonsense=1", "nonsense"),
        ] {
            let error = parse(url).unwrap_err();
            assert_eq!(error.kind(), queue_core::ErrorKind::Invalid);
            let text = format!("{error:?}");
            assert!(text.contains(fault) && !text.contains("secret"), "{text}");
        }
    }

    #[test]
    fn the_debug_form_hides_the_password() {
        let config = parse("postgres://ada:secret@host/shop").unwrap();
        assert!(!format!("{config:?}").contains("secret"));
    }
}
