//! The unprivileged account that runs a server for root, because PostgreSQL and PgBouncer refuse
//! root.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use anyhow::{Context, Result};

/// The accounts to look for, preferred first.
const NAMES: [&str; 2] = ["postgres", "nobody"];

/// An entry of `/etc/passwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Account {
    /// The account for programs that refuse root: `None` if this process is not root, otherwise the
    /// account `postgres`, otherwise `nobody`.
    pub(crate) fn for_programs() -> Result<Option<Self>> {
        if !is_root()? {
            return Ok(None);
        }
        let list = fs::read_to_string("/etc/passwd").context("failed to read /etc/passwd")?;
        let mut found = NAMES.iter().filter_map(|name| find(&list, name));
        let account = found.next();
        account.map(Some).context("no account `postgres` or `nobody` that could run a server for root")
    }

    pub(crate) fn own(&self, path: &Path) -> Result<()> {
        let failed = || format!("failed to give {} to {}", path.display(), self.name);
        chown(path, Some(self.uid), Some(self.gid)).with_context(failed)
    }

    /// Whether the account has access to the content of a folder.
    pub(crate) fn has_access_to(&self, folder: &Path) -> bool {
        fs::metadata(folder).is_ok_and(|metadata| {
            let class = match (metadata.uid() == self.uid, metadata.gid() == self.gid) {
                (true, _) => 0o100,
                (false, true) => 0o010,
                (false, false) => 0o001,
            };
            metadata.mode() & class != 0
        })
    }
}

/// The standard library cannot return the user of this process, so this reads the owner of a new
/// file.
pub(crate) fn is_root() -> Result<bool> {
    let made = tempfile::tempfile().and_then(|file| file.metadata());
    Ok(made.context("failed to make a temporary file")?.uid() == 0)
}

/// Reads `name:password:uid:gid:…`.
fn find(list: &str, name: &str) -> Option<Account> {
    list.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok().filter(|uid| *uid != 0)?;
        Some(Account { name: name.to_owned(), uid, gid: fields.next()?.parse().ok()? })
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const LIST: &str = "root:x:0:0:root:/root:/bin/bash\n\
                        postgres2:x:7:7::/:/bin/sh\n\
                        postgres:x:101:104:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash\n";

    #[test]
    fn account_is_read_with_its_group() {
        let expected = Account { name: "postgres".to_owned(), uid: 101, gid: 104 };
        assert_eq!(find(LIST, "postgres"), Some(expected));
    }

    #[test]
    fn root_and_missing_accounts_are_none() {
        assert_eq!(find(LIST, "root"), None);
        assert_eq!(find(LIST, "nobody"), None);
    }

    #[test]
    fn private_folder_is_closed_to_other_accounts() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let other = Account { name: "other".to_owned(), uid: 54321, gid: 54321 };
        assert!(!other.has_access_to(folder.path()));
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
        assert!(other.has_access_to(folder.path()));
    }
}
