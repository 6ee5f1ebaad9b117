//! Tests servers as tests and benches use them.

use std::fs;
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use queue_testserver::{Options, Server, Shutdown};

use crate::is_running;

fn query(server: &Server, statement: &str) -> String {
    crate::query(server.programs(), &server.url(), statement)
}

fn show(server: &Server, parameter: &str) -> String {
    query(server, &format!("show {parameter}"))
}

#[test]
fn throwaway_server_only_disables_fsync() {
    let server = Server::start(&Options::throwaway()).unwrap();
    assert_eq!(query(&server, "select current_user, current_database()"), "postgres|postgres");
    let expected = [
        ("fsync", "off"),
        ("full_page_writes", "off"),
        ("synchronous_commit", "on"),
        ("server_encoding", "UTF8"),
        ("listen_addresses", "127.0.0.1"),
        ("unix_socket_directories", ""),
        ("max_connections", "400"),
        ("ssl", "off"),
    ];
    for (parameter, value) in expected {
        assert_eq!(show(&server, parameter), value, "{parameter}");
    }
    assert_eq!(query(&server, "select datcollate from pg_database where datname = 'postgres'"), "C");
}

#[test]
fn durable_server_waits_for_the_disk() {
    let server = Server::start(&Options::durable().parameter("work_mem", "5MB")).unwrap();
    let on = ["fsync", "full_page_writes", "synchronous_commit"].map(|parameter| show(&server, parameter));
    assert_eq!(on, ["on", "on", "on"]);
    assert_eq!(show(&server, "work_mem"), "5MB");
}

#[test]
fn server_with_a_certificate_offers_tls() {
    let names = ["localhost".to_owned()];
    let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names).unwrap();
    let options = Options::throwaway().tls(cert.pem(), signing_key.serialize_pem());
    let server = Server::start(&options).unwrap();
    let encrypted = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
    for (mode, expected) in [("require", "t"), ("disable", "f")] {
        let url = format!("{}?sslmode={mode}", server.url());
        assert_eq!(crate::query(server.programs(), &url, encrypted), expected, "{mode}");
    }
}

#[test]
fn commits_survive_each_kind_of_restart() {
    let mut server = Server::start(&Options::throwaway()).unwrap();
    let url = server.url();
    query(&server, "create table kept (n int); insert into kept values (1)");
    for shutdown in [Shutdown::Fast, Shutdown::Immediate] {
        let process = server.process_id().unwrap().to_string();
        server.stop(shutdown).unwrap();
        assert!(!is_running(&process));
        assert_eq!(server.process_id(), None);
        server.stop(shutdown).unwrap();
        server.start_again().unwrap();
        server.restart(shutdown).unwrap();
        assert_eq!(query(&server, "select n from kept"), "1");
        assert_eq!(server.url(), url);
    }
}

#[test]
fn restart_fails_while_its_port_is_taken() {
    let mut server = Server::start(&Options::throwaway()).unwrap();
    server.stop(Shutdown::Fast).unwrap();
    let other = TcpListener::bind(("127.0.0.1", server.port())).unwrap();
    let error = server.start_again().unwrap_err().to_string();
    let expected = format!("failed to start PostgreSQL: port {} of 127.0.0.1 is in use", server.port());
    assert_eq!(error, expected);
    drop(other);
    server.start_again().unwrap();
    assert_eq!(query(&server, "select 1"), "1");
}

#[test]
fn dropped_server_ends_despite_other_child_processes() {
    let parent = crate::folder();
    let server = Server::start(&Options::throwaway().folder(parent.path())).unwrap();
    assert!(server.folder().starts_with(fs::canonicalize(parent.path()).unwrap()));
    let process = server.process_id().unwrap().to_string();

    // It would keep the server running if it inherited the pipe to the server.
    let mut other = Command::new("sleep").arg("600").spawn().unwrap();
    let started = Instant::now();
    drop(server);
    let took = started.elapsed();
    other.kill().unwrap();
    other.wait().unwrap();

    assert!(took < Duration::from_secs(60), "{took:?}");
    assert!(!is_running(&process));
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
}

#[test]
fn failed_start_names_the_cause_and_leaves_nothing() {
    let parent = crate::folder();
    let options = Options::throwaway().folder(parent.path()).parameter("work_mem", "plenty");
    let error = format!("{:#}", Server::start(&options).unwrap_err());
    assert!(error.starts_with("failed to start PostgreSQL: it ended with exit status: 1: "), "{error}");
    assert!(error.contains("invalid value for parameter \"work_mem\": \"plenty\""), "{error}");
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
}

#[test]
fn shared_server_is_equal_for_every_caller() {
    let [first, second] = [0, 1].map(|_| std::thread::spawn(queue_testserver::url));
    assert_eq!(first.join().unwrap().unwrap(), second.join().unwrap().unwrap());
}
