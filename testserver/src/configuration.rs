//! The configuration file of a server.

use std::fs::OpenOptions;
use std::io::Write;

use anyhow::{Context, Result};

use crate::folder::Folder;
use crate::options::{Durability, Options};

/// Appends settings to the file of `initdb`; the last value of a parameter counts.
pub(crate) fn write(folder: &Folder, options: &Options) -> Result<()> {
    let mut settings = settings(options);
    if let Some(tls) = &options.tls {
        let certificate = folder.write("server.crt", &tls.certificate)?;
        let key = folder.write("server.key", &tls.key)?;
        settings.push_str(&setting("ssl", "on"));
        settings.push_str(&setting("ssl_cert_file", &certificate.to_string_lossy()));
        settings.push_str(&setting("ssl_key_file", &key.to_string_lossy()));
    }
    // The caller's parameters come last, so that they override the others.
    let own = options.parameters.iter().map(|(name, value)| setting(name, value));
    settings.extend(own);

    let path = folder.path().join("data/postgresql.conf");
    let file = OpenOptions::new().append(true).open(&path);
    file.and_then(|mut file| file.write_all(settings.as_bytes()))
        .with_context(|| format!("failed to write {}", path.display()))
}

fn settings(options: &Options) -> String {
    let durable: &[(&str, &str)] = match options.durability {
        Durability::Throwaway => {
            &[("shared_buffers", "128MB"), ("fsync", "off"), ("full_page_writes", "off")]
        }
        Durability::Durable => &[("shared_buffers", "256MB")],
    };
    let common = [
        ("listen_addresses", "127.0.0.1"),
        // A socket path may have at most 107 bytes, which the caller's folder may exceed.
        ("unix_socket_directories", ""),
        ("max_connections", "400"),
    ];
    common.iter().chain(durable).map(|(name, value)| setting(name, value)).collect()
}

fn setting(name: &str, value: &str) -> String {
    format!("{name} = '{}'\n", value.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted() {
        assert_eq!(setting("a.b", r"it's \"), "a.b = 'it''s \\\\'\n");
    }

    #[test]
    fn only_a_throwaway_server_disables_fsync() {
        assert!(settings(&Options::throwaway()).contains("fsync = 'off'"));
        assert!(!settings(&Options::durable()).contains("fsync"));
    }
}
