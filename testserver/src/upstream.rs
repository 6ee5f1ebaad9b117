//! The server behind a PgBouncer.

use anyhow::{Context, Result};

/// The parts of a URL such as `postgres://user:password@host:5432/database?option=value`, still
/// encoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Upstream<'a> {
    user: &'a str,
    password: Option<&'a str>,
    host: &'a str,
    port: u16,
    database: &'a str,
}

impl<'a> Upstream<'a> {
    pub(crate) fn parse(url: &'a str) -> Result<Self> {
        Self::split(url).context("failed to read the URL of a server: not postgres://user@host:port/database")
    }

    fn split(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        if !["postgres", "postgresql"].contains(&scheme) {
            return None;
        }
        let rest = rest.split('?').next()?;
        let (login, rest) = rest.rsplit_once('@')?;
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (login, None),
        };
        let (address, database) = rest.split_once('/')?;
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
            _ => (address, 5432),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let complete = ![user, host, database].contains(&"");
        complete.then_some(Self { user, password, host, port, database })
    }

    /// The URL of the same database and user at a port of 127.0.0.1 without a password.
    pub(crate) fn url_at(&self, port: u16) -> String {
        format!("postgres://{}@127.0.0.1:{port}/{}", self.user, self.database)
    }

    /// The connection settings for PgBouncer. The client names the database.
    pub(crate) fn connection(&self) -> String {
        let mut text = format!("host={} port={} user={}", self.host, self.port, quoted(self.user));
        if let Some(password) = self.password {
            text.push_str(" password=");
            text.push_str(&quoted(password));
        }
        text
    }
}

/// Quotes a decoded value for PgBouncer.
fn quoted(encoded: &str) -> String {
    format!("'{}'", decoded(encoded).replace('\'', "''"))
}

/// Decodes codes such as `%40`. Invalid codes stay as they are.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).filter(|_| *first == b'%').and_then(|digits| str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_is_split_into_its_parts() {
        let upstream =
            Upstream::parse("postgres://me:p%40s%27s@db.example:6000/jobs?sslmode=disable").unwrap();
        assert_eq!(upstream.connection(), "host=db.example port=6000 user='me' password='p@s''s'");
        assert_eq!(upstream.url_at(7000), "postgres://me@127.0.0.1:7000/jobs");
    }

    #[test]
    fn port_and_password_are_optional() {
        for (url, connection) in [
            ("postgresql://me@h/d", "host=h port=5432 user='me'"),
            ("postgres://me@[::1]/d", "host=::1 port=5432 user='me'"),
            ("postgres://me@[::1]:6/d", "host=::1 port=6 user='me'"),
        ] {
            assert_eq!(Upstream::parse(url).unwrap().connection(), connection, "{url}");
        }
    }

    #[test]
    fn incomplete_url_is_refused() {
        for url in
            ["", "sqlite:x", "postgres://h/d", "postgres://me@h", "postgres://me@h:x/d", "mysql://me@h/d"]
        {
            let error = Upstream::parse(url).unwrap_err().to_string();
            assert!(error.starts_with("failed to read the URL of a server"), "{url}: {error}");
        }
    }

    #[test]
    fn only_valid_codes_are_decoded() {
        assert_eq!(decoded("a%20b%2fc%zz%2%"), "a b/c%zz%2%");
    }
}
