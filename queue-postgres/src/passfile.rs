//! The password file of libpq.

use std::io;
use std::path::Path;

/// Folders in which servers of common packages keep their socket.
pub(crate) const SOCKET_FOLDERS: &[&str] = &["/var/run/postgresql", "/run/postgresql", "/tmp"];

/// The login that a line of the file applies to.
#[derive(Debug)]
pub(crate) struct Login<'a> {
    /// The name, the address, or the folder of the socket.
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    pub(crate) database: &'a str,
    pub(crate) user: &'a str,
}

/// Whether the application named the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Named by a parameter or a variable.
    Named,
    /// The default file of libpq.
    Default,
}

/// The text of the file. As in libpq, an unusable file is ignored.
pub(crate) fn read(path: &Path, origin: Origin) -> Option<String> {
    match usable(path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound && origin == Origin::Default => None,
        Err(error) => {
            tracing::warn!(file = %path.display(), %error, "password file ignored; connecting without its passwords");
            None
        }
    }
}

fn usable(path: &Path) -> io::Result<String> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if metadata.permissions().mode() & 0o077 != 0 {
            return Err(io::Error::other("group or other accounts have access to it; set its mode to 0600"));
        }
    }
    std::fs::read_to_string(path)
}

/// The password of the first line that matches the login.
pub(crate) fn password(text: &str, login: &Login<'_>) -> Option<String> {
    let host = if SOCKET_FOLDERS.contains(&login.host) { "localhost" } else { login.host };
    let port = login.port.to_string();
    let wanted = [host, &port, login.database, login.user];
    let found = text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut rest = line;
        for wanted in wanted {
            let (field, after) = field(rest)?;
            if field != "*" && unescaped(field) != wanted {
                return None;
            }
            rest = after;
        }
        Some(unescaped(rest))
    });
    found.filter(|password| !password.is_empty())
}

/// Splits at the first `:` that has no `\` before it.
fn field(line: &str) -> Option<(&str, &str)> {
    let mut is_escaped = false;
    let end = line.find(|character| {
        let ends = character == ':' && !is_escaped;
        is_escaped = character == '\\' && !is_escaped;
        ends
    })?;
    Some((&line[..end], &line[end + 1..]))
}

/// Removes each `\` before another character.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(if character == '\\' { characters.next().unwrap_or('\\') } else { character });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const DB1: Login<'static> = Login { host: "db1", port: 5432, database: "shop", user: "ada" };

    #[test]
    fn first_matching_line_counts() {
        let text = "# db1:5432:shop:ada:comment\n\ndb1:5433:shop:ada:port\ndb1:5432:blog:ada:database\n\
                    db1:5432:shop:eve:user\ndb1:5432:shop\n*:*:shop:ada:first\r\ndb1:5432:shop:ada:second\n";
        assert_eq!(password(text, &DB1).as_deref(), Some("first"));
        assert_eq!(password(text, &Login { database: "else", ..DB1 }), None);
        assert_eq!(password("", &DB1), None);
    }

    #[test]
    fn colons_and_backslashes_are_escaped() {
        let address = Login { host: "::1", database: r"a\b", ..DB1 };
        assert_eq!(password(r"\:\:1:5432:a\\b:ada:p\:w\\d:x", &address).as_deref(), Some(r"p:w\d:x"));
        assert_eq!(password(r"db1:*:*:*:end\", &DB1).as_deref(), Some(r"end\"));
        assert_eq!(password(r"\*:*:*:*:star", &DB1), None);
    }

    #[test]
    fn localhost_is_the_default_socket_folder_too() {
        let text = "localhost:5432:shop:ada:local\n/srv/sockets:5432:shop:ada:own\n";
        for host in ["localhost", "/var/run/postgresql", "/tmp"] {
            assert_eq!(password(text, &Login { host, ..DB1 }).as_deref(), Some("local"), "{host}");
        }
        assert_eq!(password(text, &Login { host: "/srv/sockets", ..DB1 }).as_deref(), Some("own"));
    }
}
