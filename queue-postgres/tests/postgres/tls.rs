//! TLS connections with certificates made by the tests.

use std::path::PathBuf;

use queue_core::{Backend, Error, ErrorKind, Result};
use queue_postgres::{PostgresBackend, PostgresConfig};
use queue_testserver::{Options, Server};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

use crate::common::{connect, insert, register, spec};

/// A certificate authority.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut parameters = CertificateParams::new([]).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap())
    }

    /// A server whose certificate is for this name.
    fn server(&self, name: &str) -> Server {
        let key = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = parameters.signed_by(&key, &self.0).unwrap();
        let options = Options::throwaway().tls(certificate.pem(), key.serialize_pem());
        Server::start(&options).unwrap()
    }

    /// Its own certificate, in a file.
    fn file(&self, folder: &TempDir) -> PathBuf {
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, self.0.pem()).unwrap();
        file
    }
}

/// Uses the host name that the certificate is checked against.
fn url(server: &Server, parameters: &str) -> String {
    format!("{}?{parameters}", server.url().replace("127.0.0.1", "localhost"))
}

async fn open(server: &Server, parameters: &str) -> Result<PostgresBackend> {
    PostgresBackend::open(PostgresConfig::from_url(&url(server, parameters))?).await
}

async fn refused(server: &Server, parameters: &str) -> Error {
    let error = open(server, parameters).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error}");
    assert!(
        error.to_string().starts_with("failed to open the database: no connection to the server"),
        "{error}"
    );
    error
}

#[tokio::test]
async fn every_session_uses_tls() {
    let (folder, authority) = (TempDir::new().unwrap(), Authority::new("ours"));
    let (file, server) = (authority.file(&folder), authority.server("localhost"));
    let backend = open(&server, &format!("sslrootcert={}", file.display())).await.unwrap();
    // All connections: of requests, of heartbeats, of the listener and of the notifier.
    let mut wakes = backend.subscribe();
    assert!(wakes.recv().await.unknown);
    insert(&backend, vec![spec("1")]).await.unwrap();
    let worker = register(&backend).await;
    backend.heartbeat(queue_core::backend::HeartbeatRequest::new(worker)).await.unwrap();
    let sql =
        "SELECT count(*), count(*) FILTER (WHERE ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
               WHERE application_name = 'queue'";
    let client = connect(&server.url()).await;
    crate::common::until("all are connected", || async {
        client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 4
    })
    .await;
    assert_eq!(client.query_one(sql, &[]).await.unwrap().get::<_, i64>(1), 4);
}

#[tokio::test]
async fn server_of_another_authority_is_refused() {
    let folder = TempDir::new().unwrap();
    let (file, server) = (Authority::new("one").file(&folder), Authority::new("two").server("localhost"));
    let error = refused(&server, &format!("sslrootcert={}", file.display())).await;
    assert!(error.to_string().contains("invalid peer certificate: UnknownIssuer"), "{error}");
    // The system does not trust it either.
    let error = open(&server, "sslmode=verify-full").await.unwrap_err();
    let faults = ["invalid peer certificate: UnknownIssuer", "the system has no root certificates"];
    assert!(faults.iter().any(|fault| error.to_string().contains(fault)), "{error}");
}

#[tokio::test]
async fn certificate_for_another_name_is_refused() {
    let (folder, authority) = (TempDir::new().unwrap(), Authority::new("ours"));
    let (file, server) = (authority.file(&folder), authority.server("db.example"));
    let error = refused(&server, &format!("sslrootcert={}", file.display())).await;
    let text = error.to_string();
    assert!(text.contains("not valid for name \"localhost\"") && text.contains("db.example"), "{text}");
}

#[tokio::test]
async fn server_without_tls_is_refused() {
    let (folder, authority) = (TempDir::new().unwrap(), Authority::new("ours"));
    let (file, server) = (authority.file(&folder), Server::start(&Options::throwaway()).unwrap());
    let error = refused(&server, &format!("sslrootcert={}", file.display())).await;
    assert!(error.to_string().contains("server does not support TLS"), "{error}");
}

/// A restarting server, or the network, ends the connection in the middle of the handshake.
#[tokio::test]
async fn handshake_that_breaks_off_is_unavailable() {
    let (folder, authority) = (TempDir::new().unwrap(), Authority::new("ours"));
    let file = authority.file(&folder);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            // The server's answer that accepts TLS.
            stream.write_all(b"S").await.unwrap();
        }
    });
    let url = format!("postgres://ada@127.0.0.1:{port}/shop?sslrootcert={}", file.display());
    let error = PostgresBackend::open(PostgresConfig::from_url(&url).unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    server.abort();
}

#[tokio::test]
async fn file_without_certificate_is_named() {
    let folder = TempDir::new().unwrap();
    let (missing, empty) = (folder.path().join("missing.pem"), folder.path().join("empty.pem"));
    std::fs::write(&empty, "no certificate").unwrap();
    for file in [missing, empty] {
        let url = format!("postgres://postgres@localhost/postgres?sslrootcert={}", file.display());
        let error = PostgresBackend::open(PostgresConfig::from_url(&url).unwrap()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains(&file.display().to_string()), "{error}");
    }
}
