use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

/// Creates a root folder with empty programs in the given folders.
fn root(folders: &[&str]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for folder in folders {
        add(&root, folder, &NEEDED);
    }
    root
}

fn add(root: &TempDir, folder: &str, programs: &[&str]) {
    fs::create_dir_all(root.path().join(folder)).unwrap();
    for program in programs {
        fs::write(root.path().join(folder).join(program), "").unwrap();
    }
}

/// The result of a search below `root`, relative to it, with these folders in `PATH`.
fn found(root: &TempDir, chosen: Option<&str>, path: &[&str]) -> Result<Option<String>> {
    let path = env::join_paths(path.iter().map(|folder| root.path().join(folder))).unwrap();
    let chosen = chosen.map(|folder| root.path().join(folder).into_os_string());
    let found = Search { chosen, path, root: root.path().to_path_buf() }.find()?;
    let root = root.path().canonicalize().unwrap();
    Ok(found.map(|folder| {
        folder.canonicalize().unwrap().strip_prefix(&root).unwrap().to_string_lossy().into_owned()
    }))
}

#[test]
fn search_of_an_empty_root_finds_nothing() {
    assert_eq!(found(&root(&[]), None, &["bin"]).unwrap(), None);
}

#[test]
fn chosen_folder_comes_first() {
    let root = root(&["mine", "bin", "usr/lib/postgresql/15/bin"]);
    assert_eq!(found(&root, Some("mine"), &["bin"]).unwrap().as_deref(), Some("mine"));
}

#[test]
fn incomplete_chosen_folder_is_an_error() {
    let root = root(&["bin"]);
    add(&root, "mine", &["postgres"]);
    let error = found(&root, Some("mine"), &["bin"]).unwrap_err().to_string();
    assert!(error.starts_with("QUEUE_TEST_POSTGRES_BIN names "), "{error}");
    assert!(error.ends_with("mine, where there is no initdb"), "{error}");
}

#[test]
fn path_comes_before_package_folders() {
    let root = root(&["bin", "usr/lib/postgresql/15/bin"]);
    assert_eq!(found(&root, None, &["empty", "bin"]).unwrap().as_deref(), Some("bin"));
}

#[test]
fn incomplete_folder_in_path_is_skipped() {
    let root = root(&["usr/lib/postgresql/15/bin"]);
    add(&root, "bin", &["postgres"]);
    assert_eq!(found(&root, None, &["bin"]).unwrap().as_deref(), Some("usr/lib/postgresql/15/bin"));
}

#[test]
fn link_in_path_leads_to_its_folder() {
    let root = root(&["real/14", "usr/lib/postgresql/15/bin"]);
    fs::create_dir(root.path().join("bin")).unwrap();
    symlink(root.path().join("real/14/postgres"), root.path().join("bin/postgres")).unwrap();
    assert_eq!(found(&root, None, &["bin"]).unwrap().as_deref(), Some("real/14"));
}

#[test]
fn newest_version_of_first_package_is_found() {
    let root = root(&["usr/lib/postgresql/9.6/bin", "usr/lib/postgresql/10/bin", "usr/pgsql-17/bin"]);
    add(&root, "usr/lib/postgresql/16/bin", &["postgres"]);
    assert_eq!(found(&root, None, &[]).unwrap().as_deref(), Some("usr/lib/postgresql/10/bin"));
}

#[test]
fn each_package_folder_is_searched() {
    for folder in [
        "usr/lib/postgresql/15/bin",
        "usr/pgsql-16/bin",
        "usr/local/pgsql/bin",
        "opt/homebrew/opt/postgresql@16/bin",
        "opt/homebrew/opt/postgresql/bin",
        "usr/local/opt/postgresql@14/bin",
        "Applications/Postgres.app/Contents/Versions/17/bin",
    ] {
        assert_eq!(found(&root(&[folder]), None, &[]).unwrap().as_deref(), Some(folder));
    }
}
