//! TLS of connections.

use std::fmt;

use queue_core::{Error, Result};
use tokio_postgres::NoTls;

use crate::config::PostgresConfig;

/// The connector of all connections of a handle.
#[derive(Clone)]
pub(crate) enum Tls {
    /// Plain TCP or a Unix socket.
    Off(NoTls),
    #[cfg(feature = "tls")]
    Rustls(tokio_postgres_rustls::MakeRustlsConnect),
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off(_) => "Off",
            #[cfg(feature = "tls")]
            Self::Rustls(_) => "Rustls",
        })
    }
}

#[cfg(not(feature = "tls"))]
impl Tls {
    pub(crate) fn new(config: &PostgresConfig) -> Result<Self> {
        if config.requires_tls() {
            return Err(Error::invalid(
                "open the database",
                "TLS is required, but this build lacks the feature `tls`",
            ));
        }
        Ok(Self::Off(NoTls))
    }
}

#[cfg(feature = "tls")]
impl Tls {
    pub(crate) fn new(config: &PostgresConfig) -> Result<Self> {
        // `prefer` gives no protection, because an attacker on the network can refuse TLS.
        if !config.requires_tls() {
            return Ok(Self::Off(NoTls));
        }
        // Named here, so that other providers in the program do not matter.
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let versions =
            rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = versions.map_err(|error| {
            Error::invalid("set up TLS", "the crypto provider does not support the protocol versions")
                .with_source(error)
        })?;
        let client = builder.with_root_certificates(roots(config)?).with_no_client_auth();
        Ok(Self::Rustls(tokio_postgres_rustls::MakeRustlsConnect::new(client)))
    }
}

#[cfg(feature = "tls")]
fn roots(config: &PostgresConfig) -> Result<rustls::RootCertStore> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    let invalid = |message: String| Error::invalid("read the root certificates", message);
    let mut store = rustls::RootCertStore::empty();
    if let Some(file) = &config.root_certificates {
        let unreadable = |error: rustls::pki_types::pem::Error| {
            invalid(format!("`{}` cannot be read: {error}", file.display())).with_source(error)
        };
        for certificate in CertificateDer::pem_file_iter(file).map_err(unreadable)? {
            let certificate = certificate.map_err(unreadable)?;
            store.add(certificate).map_err(|error| {
                invalid(format!("`{}` has an invalid certificate: {error}", file.display()))
                    .with_source(error)
            })?;
        }
    } else {
        let (_, _) = store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if store.is_empty() {
        return Err(invalid(match &config.root_certificates {
            Some(file) => format!("`{}` has no certificates", file.display()),
            None => "the system has no root certificates".to_owned(),
        }));
    }
    Ok(store)
}
