//! Accepted URLs, and the errors of all other URLs.

use std::path::PathBuf;

use tokio_postgres::config::{Host, LoadBalanceHosts};

use super::*;

/// Reads a URL in an empty environment.
fn read(url: &str) -> Result<PostgresConfig> {
    parse_with(url, &|_| None)
}

/// Reads a URL of a server with these parameters.
#[track_caller]
fn with(parameters: &str) -> PostgresConfig {
    read(&format!("postgres://ada:secret@host/shop?{parameters}")).unwrap()
}

#[track_caller]
fn assert_refused(url: &str, fault: &str) {
    let error = read(url).unwrap_err();
    assert_eq!(error.kind(), queue_core::ErrorKind::Invalid);
    let text = format!("{error:?}");
    assert!(text.contains(fault) && !text.contains("secret"), "{url}: {text}");
}

fn tcp(hosts: &[&str]) -> Vec<Host> {
    hosts.iter().map(|host| Host::Tcp((*host).to_owned())).collect()
}

#[test]
fn own_and_driver_parameters_are_applied() {
    let url = "postgres://ada:s%3Dcret'%5C@host:5433/shop?schema=jobs&connect_timeout=3&connections=4\
               &pgbouncer=true&migrate=never&sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem";
    let config = read(url).unwrap();
    assert_eq!(config.schema.as_str(), "jobs");
    assert_eq!((config.connections, config.pooler, config.migrate), (4, Pooler::Transaction, Migrate::Never));
    assert_eq!(config.root_certificates.as_deref(), Some(Path::new("/etc/ca.pem")));
    assert_eq!(config.driver.get_user(), Some("ada"));
    assert_eq!(config.driver.get_password(), Some(&br"s=cret'\"[..]));
    assert_eq!(config.driver.get_dbname(), Some("shop"));
    assert_eq!((config.driver.get_hosts(), config.driver.get_ports()), (&tcp(&["host"])[..], &[5433][..]));
    assert_eq!(config.driver.get_connect_timeout().map(Duration::as_secs), Some(3));
    assert!(config.requires_tls());
}

#[test]
fn errors_never_contain_the_password() {
    for (url, fault) in [
        ("mysql://ada:secret@host/shop", "postgres://"),
        ("postgres://ada:secret@host/shop?schema=Jobs", "`Jobs`"),
        ("postgres://ada:secret@host/shop?connections=0", "connections"),
        ("postgres://ada:secret@host/shop?pgbouncer=maybe", "`maybe`"),
        ("postgres://ada:secret@host/shop?migrate=x", "`never`"),
        ("postgres://ada:secret@host/shop?schema=%4", "percent"),
        ("postgres://ada:secret@host:port/shop", "a port is not a number"),
        ("postgres://ada:secret@host/shop?port=secret", "`port`"),
        ("postgres://ada:secret@host/shop?nonsense=1", "`nonsense` is unknown"),
        ("postgres://ada:sec/secret@host/shop", "`%2F`"),
        ("postgres://ada:secret@::1/shop", "in brackets"),
        ("postgres://ada:%secret@host/shop", "`password`"),
        ("postgres://ada:secret@a,b/shop?port=1,2,3", "different numbers"),
        (
            "postgres://ada:secret@host/shop?sslcert=a.pem&sslkey=b.pem",
            "client certificates are not supported",
        ),
        ("postgres://ada:secret@host/shop?ssl-key=b.pem", "client certificates are not supported"),
        ("postgres://ada:secret@host/shop?sslpassword=secret", "client certificates are not supported"),
        ("postgres://ada:secret@host/shop?sslcrl=a.pem", "revoked"),
        ("postgres://ada:secret@host/shop?sslmode=always", "`verify-ca`"),
        ("postgres://ada:secret@host/shop?ssl=1", "`sslmode`"),
        ("postgres://ada:secret@host/shop?sslmode=disable&sslrootcert=a.pem", "requires TLS"),
        ("postgres://ada:secret@host/shop?sslmode=prefer&sslrootcert=system", "requires TLS"),
        ("postgres://ada:secret@host/shop?channel_binding=require", "needs TLS"),
        ("postgres://ada:secret@host/shop?target_session_attrs=read-only", "a queue writes"),
        ("postgres://ada:secret@host/shop?target_session_attrs=standby", "a queue writes"),
        ("postgres://ada:secret@host/shop?target_session_attrs=prefer-standby", "a queue writes"),
        ("postgres://ada:secret@host/shop?target_session_attrs=x", "`primary`"),
        ("postgres://ada:secret@host/shop?statement-cache-capacity=0", "`pgbouncer=true`"),
        ("postgres://ada:secret@host/shop?statement-cache-capacity=x", "a number"),
        ("postgres://ada:secret@host/shop?tcp_user_timeout=1s", "milliseconds"),
        ("postgres://ada:secret@host/shop?gssencmode=require", "GSSAPI"),
    ] {
        assert_refused(url, fault);
    }
}

#[test]
fn debug_hides_the_password() {
    assert!(!format!("{:?}", with("")).contains("secret"));
}

#[test]
fn each_accepted_name_is_documented() {
    let page = include_str!("../../docs/database-urls.md");
    for name in DRIVERS.iter().chain(OURS) {
        assert!(page.contains(name), "{name}");
    }
}

#[test]
fn tls_is_required_or_not_used_at_all() {
    for parameters in ["", "sslmode=disable", "sslmode=allow", "sslmode=prefer", "ssl-mode=prefer"] {
        assert!(!with(parameters).requires_tls(), "{parameters}");
    }
    for parameters in [
        "sslmode=require",
        "ssl-mode=verify-ca",
        "sslmode=verify-full",
        "ssl=true",
        "sslrootcert=system",
        "sslmode=verify-full&sslrootcert=system",
        "sslmode=require&channel_binding=require",
        "ssl-root-cert=/etc/ca.pem",
        "sslmode=prefer&sslrootcert=/etc/ca.pem",
    ] {
        assert!(with(parameters).requires_tls(), "{parameters}");
    }
    assert_eq!(with("sslrootcert=system").root_certificates, None);
    assert_eq!(with("ssl-root-cert=/etc/ca.pem").root_certificates, Some(PathBuf::from("/etc/ca.pem")));
}

#[test]
fn several_hosts_require_a_writable_server() {
    let target = |url: &str| read(url).unwrap().driver.get_target_session_attrs();
    assert_eq!(target("postgres://ada@a/shop"), TargetSessionAttrs::Any);
    assert_eq!(target("postgres://ada@a,b/shop"), TargetSessionAttrs::ReadWrite);
    assert_eq!(target("postgres:///shop?hostaddr=10.0.0.1,10.0.0.2"), TargetSessionAttrs::ReadWrite);
    assert_eq!(target("postgres://ada@a,b/shop?target_session_attrs=any"), TargetSessionAttrs::Any);
    for value in ["read-write", "primary"] {
        let url = format!("postgres://ada@a/shop?target_session_attrs={value}");
        assert_eq!(target(&url), TargetSessionAttrs::ReadWrite);
    }
}

#[cfg(unix)]
#[test]
fn parameters_replace_the_same_part_of_the_address() {
    let driver =
        read("postgresql://ada@localhost:1/shop?host=%2Fcloudsql%2Fx&dbname=blog&user=eve").unwrap().driver;
    assert_eq!(driver.get_hosts(), [Host::Unix("/cloudsql/x".into())]);
    assert_eq!((driver.get_dbname(), driver.get_user()), (Some("blog"), Some("eve")));
    let driver = read("postgres://ada@a:1,[::1]:2,c/shop").unwrap().driver;
    assert_eq!((driver.get_hosts(), driver.get_ports()), (&tcp(&["a", "::1", "c"])[..], &[1, 2, 5432][..]));
    let driver = read("postgres://ada@a,b/shop?port=6543").unwrap().driver;
    assert_eq!((driver.get_hosts(), driver.get_ports()), (&tcp(&["a", "b"])[..], &[6543][..]));
    let driver =
        read("postgres://ada:p%40ss@w@a/shop?options=-c%20x%3D1&options[search_path]=a b").unwrap().driver;
    assert_eq!(driver.get_password(), Some(&b"p@ss@w"[..]));
    assert_eq!(driver.get_options(), Some(r"-c x=1 -c search_path=a\ b"));
}

#[test]
fn url_without_host_means_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    assert_eq!(local_host(&[path], "5433"), "localhost");
    std::fs::write(folder.path().join(".s.PGSQL.5433"), "").unwrap();
    assert_eq!(local_host(&["/nowhere", path], "5433"), path);
    for url in ["postgres:///shop", "postgres://ada@/shop", "postgres://:5433/shop", "postgres://"] {
        assert_eq!(read(url).unwrap().driver.get_hosts().len(), 1, "{url}");
    }
    let driver = read("postgres:///shop?hostaddr=10.0.0.1").unwrap().driver;
    assert!(driver.get_hosts().is_empty());
}

#[test]
fn parameters_of_other_libraries_keep_their_meaning() {
    for parameters in [
        "statement-cache-capacity=100",
        "statement-cache-capacity=0&pgbouncer=true",
        "gssencmode=disable&client_encoding=UTF8&sslsni=1&sslnegotiation=postgres&sslcompression=0",
    ] {
        assert!(!with(parameters).requires_tls(), "{parameters}");
    }
    let driver =
        with("keepalives_idle=9&keepalives_interval=8&keepalives_count=7&tcp_user_timeout=1500").driver;
    assert_eq!(driver.get_keepalives_idle(), Duration::from_secs(9));
    assert_eq!(driver.get_keepalives_interval(), Some(Duration::from_secs(8)));
    assert_eq!(driver.get_keepalives_retries(), Some(7));
    assert_eq!(driver.get_tcp_user_timeout(), Some(&Duration::from_millis(1500)));
    let driver = with("fallback_application_name=fallback&load_balance_hosts=random").driver;
    assert_eq!(driver.get_application_name(), Some("fallback"));
    assert_eq!(driver.get_load_balance_hosts(), LoadBalanceHosts::Random);
    let driver = with("fallback_application_name=fallback&application_name=own").driver;
    assert_eq!(driver.get_application_name(), Some("own"));
}
