//! Splits a URL into parameters by libpq's rules.

use std::collections::BTreeMap;

use queue_core::Result;

use super::refuse;

/// The decoded parts of a URL by libpq's names, including `user`, `password`, `host`, `port` and
/// `dbname`.
pub(super) type Parameters = BTreeMap<String, String>;

/// How to write characters that end a part of a URL.
const ENCODE: &str = "write `@`, `:`, `/` and `?` in a name or password as `%40`, `%3A`, `%2F` and `%3F`";

/// Splits a URL. As in libpq, a parameter replaces the same part of the address, and the last of
/// several counts.
pub(super) fn split(url: &str) -> Result<Parameters> {
    let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
    let rest = rest.ok_or_else(|| refuse("it does not begin with `postgres://`"))?;
    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = address.split_once('/').unwrap_or((address, ""));
    if database.contains('@') {
        return Err(refuse(&format!("the name of the database contains `@`; {ENCODE}")));
    }
    let mut parameters = Parameters::new();
    let hosts = match authority.rsplit_once('@') {
        Some((credentials, hosts)) => {
            let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
            set(&mut parameters, "user", user)?;
            set(&mut parameters, "password", password)?;
            hosts
        }
        None => authority,
    };
    set(&mut parameters, "dbname", database)?;
    set_hosts(&mut parameters, hosts)?;
    let mut options = Vec::new();
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let name = decoded("name of a parameter", name)?;
        let value = decoded(&name, value)?;
        if let Some(setting) = name.strip_prefix("options[").and_then(|name| name.strip_suffix(']')) {
            options.push(format!("-c {setting}={}", value.replace('\\', "\\\\").replace(' ', "\\ ")));
        } else {
            parameters.insert(usual_name(name), value);
        }
    }
    if !options.is_empty() {
        options.splice(0..0, parameters.remove("options"));
        parameters.insert("options".to_owned(), options.join(" "));
    }
    Ok(parameters)
}

/// The name of a parameter in libpq or the driver, if sqlx or libpq use another.
fn usual_name(name: String) -> String {
    let usual = match name.as_str() {
        "ssl-mode" => "sslmode",
        "ssl-root-cert" | "ssl-ca" => "sslrootcert",
        "ssl-cert" => "sslcert",
        "ssl-key" => "sslkey",
        "keepalives_count" => "keepalives_retries",
        _ => return name,
    };
    usual.to_owned()
}

/// Sets a part of the address unless it is empty.
fn set(parameters: &mut Parameters, name: &str, value: &str) -> Result<()> {
    if !value.is_empty() {
        parameters.insert(name.to_owned(), decoded(name, value)?);
    }
    Ok(())
}

fn set_hosts(parameters: &mut Parameters, text: &str) -> Result<()> {
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    for host in text.split(',') {
        let (host, port) = match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':').unwrap_or(port)),
            None => host.split_once(':').unwrap_or((host, "")),
        };
        if !port.is_empty() && port.parse::<u16>().is_err() {
            let fault = "a port is not a number up to 65535; put an IPv6 address in brackets, and";
            return Err(refuse(&format!("{fault} {ENCODE}")));
        }
        hosts.push(decoded("host", host)?);
        ports.push(port);
    }
    if hosts.iter().any(|host| !host.is_empty()) {
        parameters.insert("host".to_owned(), hosts.join(","));
    }
    if ports.iter().any(|port| !port.is_empty()) {
        parameters.insert("port".to_owned(), ports.join(","));
    }
    Ok(())
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
