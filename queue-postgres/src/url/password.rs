//! Finds the password of a URL without one, as libpq does.

use std::path::PathBuf;

use queue_core::Result;
use tokio_postgres::config::Host;

use super::{Variables, refuse};
use crate::passfile::{self, Login, Origin};

/// The password in `PGPASSWORD`, else in the password file.
///
/// # Errors
/// [`Invalid`](queue_core::ErrorKind::Invalid) if the file has different passwords for the hosts,
/// because the driver sends one password to all of them.
pub(super) fn find(
    driver: &tokio_postgres::Config,
    passfile: Option<&String>,
    variables: Variables<'_>,
) -> Result<Option<Vec<u8>>> {
    if driver.get_password().is_some_and(|password| !password.is_empty()) {
        return Ok(None);
    }
    let variable = |name: &str| variables(name).filter(|value| !value.is_empty());
    if let Some(password) = variable("PGPASSWORD") {
        return Ok(Some(password.into_encoded_bytes()));
    }
    let named = passfile.filter(|path| !path.is_empty()).map(PathBuf::from);
    let named = named.or_else(|| variable("PGPASSFILE").map(PathBuf::from));
    let text = match (named, default_file(&variable)) {
        (Some(path), _) => passfile::read(&path, Origin::Named),
        (None, Some(path)) => passfile::read(&path, Origin::Default),
        (None, None) => None,
    };
    let found = text.map(|text| in_file(&text, driver)).transpose()?.flatten();
    Ok(found.map(String::into_bytes))
}

fn default_file(variable: &dyn Fn(&str) -> Option<std::ffi::OsString>) -> Option<PathBuf> {
    let (base, file) =
        if cfg!(windows) { ("APPDATA", "postgresql/pgpass.conf") } else { ("HOME", ".pgpass") };
    Some(PathBuf::from(variable(base)?).join(file))
}

fn in_file(text: &str, driver: &tokio_postgres::Config) -> Result<Option<String>> {
    // The name that the driver sends if none is configured.
    let user = driver.get_user().map(str::to_owned).or_else(|| whoami::username().ok()).unwrap_or_default();
    let database = driver.get_dbname().unwrap_or(&user);
    let ports = driver.get_ports();
    let mut found: Option<(String, String)> = None;
    for (index, host) in hosts(driver).into_iter().enumerate() {
        let port = ports.get(index).or_else(|| ports.first()).copied().unwrap_or(5432);
        let login = Login { host: &host, port, database, user: &user };
        match (passfile::password(text, &login), &found) {
            (Some(password), Some((first, other))) if password != *other => {
                let fault = format!("the password file has different passwords for `{first}` and `{host}`");
                return Err(refuse(&format!(
                    "{fault}, but only one is sent to all hosts; write it into the URL"
                )));
            }
            (Some(password), None) => found = Some((host, password)),
            _ => {}
        }
    }
    Ok(found.map(|(_, password)| password))
}

/// Names before addresses, as in libpq.
fn hosts(driver: &tokio_postgres::Config) -> Vec<String> {
    let name = |host: &Host| match host {
        Host::Tcp(name) => name.clone(),
        #[cfg(unix)]
        Host::Unix(folder) => folder.display().to_string(),
    };
    let names: Vec<String> = driver.get_hosts().iter().map(name).collect();
    if names.is_empty() { driver.get_hostaddrs().iter().map(ToString::to_string).collect() } else { names }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use queue_core::Result;

    use super::super::parse_with;

    /// The password of a URL in an environment with these variables.
    fn password(url: &str, variables: &[(&str, &str)]) -> Result<Option<String>> {
        let read = |wanted: &str| {
            let found = variables.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| OsString::from(value))
        };
        let config = parse_with(url, &read)?;
        Ok(config.driver.get_password().map(|password| String::from_utf8(password.to_vec()).unwrap()))
    }

    /// A folder with the password file of a user's home, readable by this user alone.
    fn home(text: &str) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        write_private(&home.path().join(".pgpass"), text);
        home
    }

    fn write_private(path: &Path, text: &str) {
        std::fs::write(path, text).unwrap();
        set_mode(path, 0o600);
    }

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn password_has_the_sources_of_libpq() {
        let home = home("*:*:*:*:home\n");
        let other = home.path().join("other");
        write_private(&other, "host:5432:shop:ada:other\n");
        let (home, other) = (home.path().to_str().unwrap(), other.to_str().unwrap());
        let (url, pgpassword) = ("postgres://ada@host/shop", ("PGPASSWORD", "variable"));
        let (home, passfile) = (("HOME", home), ("PGPASSFILE", other));
        let found = |url: &str, variables: &[(&str, &str)]| password(url, variables).unwrap();
        let all = [pgpassword, passfile, home];
        assert_eq!(found("postgres://ada:url@host/shop", &all).as_deref(), Some("url"));
        assert_eq!(found(url, &all).as_deref(), Some("variable"));
        assert_eq!(found("postgres://ada:@host/shop", &all).as_deref(), Some("variable"));
        assert_eq!(found(url, &[("PGPASSWORD", ""), passfile, home]).as_deref(), Some("other"));
        assert_eq!(found(url, &[home]).as_deref(), Some("home"));
        assert_eq!(found(&format!("{url}?passfile={other}"), &[home]).as_deref(), Some("other"));
        assert_eq!(found("postgres://eve@host/shop", &[passfile, home]), None);
        assert_eq!(found(&format!("{url}?passfile=/nowhere"), &[home]), None);
        assert_eq!(found(url, &[("HOME", "/nowhere")]), None);
        assert_eq!(found(url, &[]), None);
    }

    #[test]
    fn password_file_readable_by_other_accounts_is_ignored() {
        let home = home("*:*:*:*:home\n");
        let variables = [("HOME", home.path().to_str().unwrap())];
        for mode in [0o640, 0o604, 0o666] {
            set_mode(&home.path().join(".pgpass"), mode);
            assert_eq!(password("postgres://ada@host/shop", &variables).unwrap(), None, "{mode:o}");
        }
    }

    #[test]
    fn one_password_is_sent_to_all_hosts() {
        let home = home("a:1:*:*:secret-1\nb:*:*:*:secret-2\nc:*:*:*:secret-1\n");
        let variables = [("HOME", home.path().to_str().unwrap())];
        let found = password("postgres://ada@none,a:1,c/shop", &variables).unwrap();
        assert_eq!(found.as_deref(), Some("secret-1"));
        let error = password("postgres://ada@a:1,b/shop", &variables).unwrap_err().to_string();
        assert!(error.contains("`a` and `b`") && !error.contains("secret"), "{error}");
    }
}
