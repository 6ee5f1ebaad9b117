//! Reads database URLs.

use queue_core::{Error, Result};

use crate::config::{Location, SqliteConfig};

const MEMORY: &str = ":memory:";

impl SqliteConfig {
    /// Reads a URL or a plain path.
    ///
    /// | text | names |
    /// |---|---|
    /// | `jobs.db`, `./jobs.db`, `/var/lib/shop/jobs.db` | the file at this path, as it is written |
    /// | `sqlite:jobs.db`, `sqlite://jobs.db` | the file in the current folder |
    /// | `sqlite:/var/lib/jobs.db`, `sqlite:///var/lib/jobs.db` | the file at the absolute path |
    /// | `file:jobs.db`, `file:/var/lib/jobs.db`, `file:///var/lib/jobs.db`, `file://localhost/var/lib/jobs.db` | the same, as SQLite writes it |
    /// | `:memory:`, `sqlite::memory:`, `sqlite://:memory:`, `file::memory:` | a storage in this process's memory |
    ///
    /// After `sqlite:` and `file:`, percent-encoding is decoded, and these parameters may follow:
    ///
    /// | parameter | meaning |
    /// |---|---|
    /// | `mode=rwc` | the file is created if it does not exist (default) |
    /// | `mode=rw` | the file must exist ([`must_exist`](Self::must_exist)) |
    /// | `mode=memory` | a storage in memory, for any name |
    /// | `cache=private`, `immutable=0` | the default |
    ///
    /// # Errors
    /// [`Invalid`](queue_core::ErrorKind::Invalid) if the text is empty or names another database.
    /// Also for `mode=ro`, `immutable=1`, `cache=shared` and `vfs`, with which a queue cannot work.
    /// Also for any other parameter, because settings are made on the configuration.
    pub fn from_url(url: &str) -> Result<Self> {
        if let Some(rest) = url.strip_prefix("sqlite:") {
            return named(url, rest.strip_prefix("//").unwrap_or(rest));
        }
        if let Some(rest) = url.strip_prefix("file:") {
            return named(url, without_authority(url, rest)?);
        }
        match url {
            "" => Err(refuse(url, "it is empty")),
            MEMORY => Ok(Self::in_memory()),
            _ if url.contains("://") => Err(refuse(
                url,
                "an SQLite database is named by `sqlite:///absolute/path`, `sqlite:relative/path`, \
                 `sqlite::memory:` or a plain path",
            )),
            path => Ok(Self::new(path)),
        }
    }
}

/// The path in `//localhost/absolute/path`. SQLite refuses every other host.
fn without_authority<'a>(url: &str, rest: &'a str) -> Result<&'a str> {
    let Some(behind) = rest.strip_prefix("//") else { return Ok(rest) };
    let path = behind.strip_prefix("localhost").filter(|path| path.starts_with('/')).unwrap_or(behind);
    if path.starts_with('/') {
        return Ok(path);
    }
    Err(refuse(url, "between `file://` and the path only `localhost` may stand; write `file:relative/path`"))
}

/// Reads a path and its parameters, after the scheme.
fn named(url: &str, rest: &str) -> Result<SqliteConfig> {
    if rest.contains('#') {
        return Err(refuse(url, "it has a fragment; write `#` as `%23` if it belongs to the name"));
    }
    let (path, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let location = match path {
        "" => None,
        MEMORY => Some(Location::Memory),
        path => Some(Location::File(percent_decoded(url, path)?.into())),
    };
    let mut mode = Mode::Create;
    for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match percent_decoded(url, name)?.as_str() {
            "mode" => mode = read_mode(url, value)?,
            "cache" => check_cache(url, value)?,
            "immutable" => check_immutable(url, value)?,
            "vfs" => {
                return Err(refuse(
                    url,
                    "it sets a `vfs`; the queue relies on the locks of the standard one",
                ));
            }
            name => {
                let fault = format!(
                    "the parameter `{name}` is not known; `mode` and `cache` are, and other settings are made on \
                     `SqliteConfig`; write `?` as `%3F` if it belongs to the name"
                );
                return Err(refuse(url, &fault));
            }
        }
    }
    match (mode, location) {
        (Mode::Memory, _) => Ok(SqliteConfig::in_memory()),
        (_, None) => Err(refuse(url, "it names no file")),
        (Mode::Create, Some(location)) => Ok(SqliteConfig::at(location)),
        (Mode::MustExist, Some(location)) => Ok(SqliteConfig::at(location).must_exist()),
    }
}

enum Mode {
    Create,
    MustExist,
    Memory,
}

fn read_mode(url: &str, value: &str) -> Result<Mode> {
    match value {
        "rwc" => Ok(Mode::Create),
        "rw" => Ok(Mode::MustExist),
        "memory" => Ok(Mode::Memory),
        "ro" => Err(refuse(url, "`mode=ro` only reads, and a queue writes: use `mode=rw` or `mode=rwc`")),
        value => Err(refuse(url, &format!("the mode `{value}` is not known; `rwc`, `rw` and `memory` are"))),
    }
}

fn check_cache(url: &str, value: &str) -> Result<()> {
    match value {
        "private" => Ok(()),
        "shared" => Err(refuse(
            url,
            "`cache=shared` locks whole tables between the connections of a process; leave it out, all clones of a \
             handle share one storage, also in memory",
        )),
        value => Err(refuse(url, &format!("the cache `{value}` is not known; `private` is"))),
    }
}

fn check_immutable(url: &str, value: &str) -> Result<()> {
    // The values that SQLite reads as false.
    match value {
        "0" | "no" | "off" | "false" => Ok(()),
        _ => Err(refuse(url, "`immutable` is for read-only files, and a queue writes: leave it out")),
    }
}

fn percent_decoded(url: &str, text: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        let value = digit().zip(digit()).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        bytes.push(value.ok_or_else(|| refuse(url, "`%` is not followed by two hexadecimal digits"))?);
    }
    String::from_utf8(bytes).map_err(|_| refuse(url, "the path is not UTF-8"))
}

fn refuse(url: &str, fault: &str) -> Error {
    Error::invalid(format!("read the database URL `{url}`"), fault)
}

#[cfg(test)]
mod tests {
    use queue_core::ErrorKind;

    use super::*;
    use crate::config::IfMissing;

    fn location(url: &str) -> Location {
        SqliteConfig::from_url(url).unwrap().location
    }

    #[test]
    fn urls_and_paths_name_the_same_files() {
        for (url, path) in [
            ("sqlite:///abs/jobs.db", "/abs/jobs.db"),
            ("sqlite:/abs/jobs.db", "/abs/jobs.db"),
            ("sqlite:rel/jobs.db", "rel/jobs.db"),
            ("sqlite://rel.db", "rel.db"),
            ("sqlite:a%20b%3F.db", "a b?.db"),
            ("sqlite://app.db?mode=rwc", "app.db"),
            ("sqlite:app.db?", "app.db"),
            ("sqlite:///abs/app.db?mode=rwc&cache=private", "/abs/app.db"),
            ("file:app.db?mode=rwc", "app.db"),
            ("file:app.db?immutable=0", "app.db"),
            ("file:/abs/app.db", "/abs/app.db"),
            ("file:///abs/app%23.db", "/abs/app#.db"),
            ("file://localhost/abs/app.db", "/abs/app.db"),
            ("rel/jobs.db", "rel/jobs.db"),
            ("/abs/100%.db", "/abs/100%.db"),
            ("./what?.db", "./what?.db"),
        ] {
            assert_eq!(location(url), Location::File(path.into()), "{url}");
            assert_eq!(SqliteConfig::from_url(url).unwrap().if_missing, IfMissing::Create, "{url}");
        }
        for url in [
            "sqlite::memory:",
            "sqlite://:memory:",
            ":memory:",
            "file::memory:",
            "sqlite::memory:?cache=private",
            "sqlite:jobs?mode=memory",
            "file:?mode=memory",
        ] {
            assert_eq!(location(url), Location::Memory, "{url}");
        }
    }

    #[test]
    fn url_mode_rw_requires_an_existing_file() {
        for url in ["sqlite:app.db?mode=rw", "file:app.db?mode=rw"] {
            assert_eq!(SqliteConfig::from_url(url).unwrap().if_missing, IfMissing::Fail, "{url}");
        }
    }

    #[test]
    fn invalid_url_error_names_the_reason() {
        for (url, reason) in [
            ("", "empty"),
            ("sqlite:", "names no file"),
            ("sqlite://", "names no file"),
            ("sqlite:?mode=rw", "names no file"),
            ("postgres://host/db", "an SQLite database is named by"),
            ("mysql://root:secret@host/db", "an SQLite database is named by"),
            ("file://host/app.db", "`localhost`"),
            ("sqlite:x.db#part", "`%23`"),
            ("sqlite:x.db?mode=ro", "a queue writes"),
            ("sqlite:x.db?immutable=1", "a queue writes"),
            ("sqlite:x.db?mode=fast", "the mode `fast` is not known"),
            ("sqlite:x.db?cache=shared", "locks whole tables"),
            ("sqlite:x.db?cache=big", "the cache `big` is not known"),
            ("sqlite:x.db?vfs=unix-dotfile", "the locks of the standard one"),
            ("sqlite:x.db?mode=rwc&busy_timeout=5", "the parameter `busy_timeout` is not known"),
            ("sqlite:x.db?nolock=1", "the parameter `nolock` is not known"),
            ("sqlite:%4", "two hexadecimal digits"),
        ] {
            let error = SqliteConfig::from_url(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains(&format!("`{url}`")), "{error}");
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
}
