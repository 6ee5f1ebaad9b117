//! Parses URLs.

mod ignored;
mod password;
mod split;
#[cfg(test)]
mod tests;

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use queue_core::backend::error_chain;
use queue_core::{Error, Result};
use tokio_postgres::config::{ChannelBinding, SslMode, TargetSessionAttrs};

use self::split::Parameters;
use crate::config::{Migrate, Pooler, PostgresConfig};
use crate::passfile::SOCKET_FOLDERS;

/// Reads a variable of the environment.
type Variables<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Parameters that the driver understands as libpq does.
const DRIVERS: &[&str] = &[
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "options",
    "password",
    "port",
    "user",
];

/// Parameters that this module handles.
const OURS: &[&str] = &[
    "connections",
    "fallback_application_name",
    "migrate",
    "passfile",
    "pgbouncer",
    "schema",
    "ssl",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "target_session_attrs",
    "tcp_user_timeout",
];

/// Reads a URL. Without a password in it, also reads the environment as libpq does.
pub(crate) fn parse(url: &str) -> Result<PostgresConfig> {
    parse_with(url, &|name| env::var_os(name))
}

fn parse_with(url: &str, variables: Variables<'_>) -> Result<PostgresConfig> {
    let mut parameters = split::split(url)?;
    fill_in_hosts(&mut parameters);
    let mut driver = driver(&parameters)?;
    if let Some(password) = password::find(&driver, parameters.get("passfile"), variables)? {
        driver.password(password);
    }
    let config = PostgresConfig::new(driver);
    parameters.iter().try_fold(config, |config, (name, value)| set(config, name, value))
}

/// The driver's configuration: its own parameters, and those of this library that it has methods
/// for.
fn driver(parameters: &Parameters) -> Result<tokio_postgres::Config> {
    let mut text = String::new();
    for (name, value) in parameters {
        if DRIVERS.contains(&name.as_str()) {
            let value = value.replace('\\', r"\\").replace('\'', r"\'");
            text.extend([" ", name, "='", &value, "'"]);
        } else if !OURS.contains(&name.as_str()) {
            ignored::ignore(name, value)?;
        }
    }
    // The driver's message names the unreadable part, not its value.
    let driver = text.parse().map_err(|error| refuse(&error_chain(&error)));
    let mut driver: tokio_postgres::Config = driver?;
    let (names, addresses, ports) =
        (driver.get_hosts().len(), driver.get_hostaddrs().len(), driver.get_ports().len());
    if names > 0 && addresses > 0 && names != addresses || ports > 1 && ports != names.max(addresses) {
        return Err(refuse("`host`, `hostaddr` and `port` list different numbers of servers"));
    }
    if let Some(mode) = encryption(parameters)? {
        driver.ssl_mode(mode);
    }
    let is_encrypted = driver.get_ssl_mode() == SslMode::Require || parameters.contains_key("sslrootcert");
    if driver.get_channel_binding() == ChannelBinding::Require && !is_encrypted {
        return Err(refuse("`channel_binding=require` needs TLS; add `sslmode=verify-full`"));
    }
    let target = target(parameters, names.max(addresses))?;
    driver.target_session_attrs(target);
    if let Some(timeout) = parameters.get("tcp_user_timeout") {
        let milliseconds = timeout.parse();
        let wrong = |_| wrong("tcp_user_timeout", timeout, "a number of milliseconds");
        let timeout = Duration::from_millis(milliseconds.map_err(wrong)?);
        if !timeout.is_zero() {
            driver.tcp_user_timeout(timeout);
        }
    }
    if let (None, Some(name)) = (driver.get_application_name(), parameters.get("fallback_application_name")) {
        driver.application_name(name);
    }
    Ok(driver)
}

/// The mode of the driver, which verifies every certificate in full; `None` if the URL has none.
fn encryption(parameters: &Parameters) -> Result<Option<SslMode>> {
    let mode =
        match (parameters.get("sslmode").map(String::as_str), parameters.get("ssl").map(String::as_str)) {
            // libpq accepts this in URLs of JDBC.
            (None, Some("true")) => Some("require"),
            (_, Some(value)) if value != "true" => {
                return Err(wrong("ssl", value, "`true`; choose by `sslmode`"));
            }
            (mode, _) => mode,
        };
    let modes = "`disable`, `allow`, `prefer`, `require`, `verify-ca` or `verify-full`";
    let root = parameters.get("sslrootcert").map(String::as_str);
    match (mode, root) {
        (Some("require" | "verify-ca" | "verify-full"), _) | (None, Some("system")) => {
            Ok(Some(SslMode::Require))
        }
        (Some("disable"), Some(_)) | (Some("allow" | "prefer"), Some("system")) => {
            Err(refuse("`sslrootcert` requires TLS, which `sslmode` does not; use `sslmode=verify-full`"))
        }
        // Root certificates require TLS, so the configuration requires it by itself.
        (Some("disable" | "allow" | "prefer"), _) => Ok(Some(SslMode::Disable)),
        (None, _) => Ok(None),
        (Some(mode), _) => Err(wrong("sslmode", mode, modes)),
    }
}

/// Which of several servers to use: one that accepts writes, unless the URL says otherwise.
fn target(parameters: &Parameters, hosts: usize) -> Result<TargetSessionAttrs> {
    match parameters.get("target_session_attrs").map(String::as_str) {
        None if hosts < 2 => Ok(TargetSessionAttrs::Any),
        Some("any") => Ok(TargetSessionAttrs::Any),
        None | Some("read-write" | "primary") => Ok(TargetSessionAttrs::ReadWrite),
        Some(value @ ("read-only" | "standby" | "prefer-standby")) => {
            let fault = format!("`target_session_attrs={value}` is not supported: a queue writes");
            Err(refuse(&format!("{fault}; use `read-write`")))
        }
        Some(value) => Err(wrong("target_session_attrs", value, "`any`, `read-write` or `primary`")),
    }
}

fn set(config: PostgresConfig, name: &str, value: &str) -> Result<PostgresConfig> {
    match name {
        "schema" => config.schema(value),
        "connections" => match value.parse() {
            Ok(connections) if connections > 0 => Ok(config.connections(connections)),
            _ => Err(wrong(name, value, "a number from 1 on")),
        },
        "pgbouncer" => match value {
            "true" => Ok(config.pooler(Pooler::Transaction)),
            "false" => Ok(config.pooler(Pooler::None)),
            _ => Err(wrong(name, value, "`true` or `false`")),
        },
        "migrate" => match value {
            "never" => Ok(config.migrate(Migrate::Never)),
            "automatically" => Ok(config),
            _ => Err(wrong(name, value, "`never` or `automatically`")),
        },
        // `pgbouncer` is handled before this name and has the effect of 0.
        "statement-cache-capacity" => match value.parse::<u64>() {
            Ok(0) if config.pooler == Pooler::None => {
                let fault = "`statement-cache-capacity=0` is not supported: a fixed small set of statements is prepared";
                Err(refuse(&format!("{fault}; behind a pooler of transactions use `pgbouncer=true`")))
            }
            Ok(_) => Ok(config),
            Err(_) => Err(wrong(name, value, "a number")),
        },
        "sslrootcert" if value != "system" => Ok(config.root_certificates(value)),
        _ => Ok(config),
    }
}

/// Uses the local server if the URL has no host, as libpq does.
fn fill_in_hosts(parameters: &mut Parameters) {
    let named = parameters.get("host").map_or("", String::as_str);
    if named.is_empty() && parameters.contains_key("hostaddr") {
        parameters.remove("host");
        return;
    }
    let ports: Vec<&str> = parameters.get("port").map(|ports| ports.split(',').collect()).unwrap_or_default();
    let fill = |(index, host): (usize, &str)| {
        let port = ports.get(index).or_else(|| ports.first()).filter(|port| !port.is_empty());
        if host.is_empty() { local_host(SOCKET_FOLDERS, port.unwrap_or(&"5432")) } else { host.to_owned() }
    };
    let hosts: Vec<String> = named.split(',').enumerate().map(fill).collect();
    parameters.insert("host".to_owned(), hosts.join(","));
}

/// The first folder with a socket of a server, else `localhost`.
fn local_host(folders: &[&str], port: &str) -> String {
    let socket = format!(".s.PGSQL.{port}");
    let holds_it = |folder: &&&str| cfg!(unix) && Path::new(folder).join(&socket).exists();
    folders.iter().find(holds_it).map_or("localhost", |folder| folder).to_owned()
}

fn wrong(name: &str, value: &str, expected: &str) -> Error {
    refuse(&format!("`{name}` is `{}`, not {expected}", value.escape_debug()))
}

/// Never contains the URL itself, because it may have a password.
fn refuse(fault: &str) -> Error {
    Error::invalid("read the URL of a PostgreSQL database", fault)
}
