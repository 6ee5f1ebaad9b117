//! Connects to the server. Each address of each host has its own timeout for TCP, TLS and login
//! together.
//!
//! The driver's timeout covers only TCP. One timeout for all hosts would be used up by a first host
//! that drops packets, so that the second is never tried.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use deadpool_postgres::{ClientWrapper, PoolError};
use queue_core::backend::{error_chain, ignore_poison};
use scopeguard::ScopeGuard;
use tokio::net::lookup_host;
use tokio::time::timeout;
use tokio_postgres::config::{Host, LoadBalanceHosts};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Client, Config, Connection, Socket};

use crate::config::PostgresConfig;
use crate::tls::Tls;

const DEFAULT_PORT: u16 = 5432;

/// The name of the application's pool in errors.
const SHARED_POOL: &str = "the shared pool";

/// Connects to the first address that accepts, beginning with the last one that accepted.
///
/// A caller may time out before all addresses were tried. The next attempt then begins with the
/// next address.
#[derive(Debug)]
pub(crate) struct Connector {
    driver: Config,
    tls: Tls,
    /// Timeout per address.
    timeout: Duration,
    first: Mutex<Position>,
}

/// Where an attempt begins: the index of a host, and the index of one of its addresses.
#[derive(Debug, Clone, Copy, Default)]
struct Position {
    host: usize,
    address: usize,
}

/// One address of the driver's configuration.
#[derive(Debug, Clone)]
struct Address {
    host: Option<Host>,
    ip: Option<IpAddr>,
    port: u16,
}

impl Connector {
    pub(crate) fn new(config: &PostgresConfig, tls: Tls) -> Self {
        let driver = config.for_connections();
        let timeout = driver.get_connect_timeout().copied().unwrap_or(config.connect_timeout);
        Self { driver, tls, timeout, first: Mutex::default() }
    }

    pub(crate) const fn tls(&self) -> &Tls {
        &self.tls
    }

    /// A session whose connection is driven by a task, until the session is dropped.
    pub(crate) async fn session(&self) -> Result<ClientWrapper, Unreached> {
        match &self.tls {
            Tls::Off(tls) => self.driven(*tls).await,
            #[cfg(feature = "tls")]
            Tls::Rustls(tls) => self.driven(tls.clone()).await,
        }
    }

    async fn driven<T>(&self, tls: T) -> Result<ClientWrapper, Unreached>
    where
        T: MakeTlsConnect<Socket> + Clone,
        T::Stream: Send + 'static,
        T::TlsConnect: Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let (client, connection) = self.connect(tls).await?;
        let driving = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = error_chain(&error), "a connection broke; its request fails");
            }
        });
        Ok(ClientWrapper::new(client, driving))
    }

    /// A session, and its connection, which the caller drives.
    pub(crate) async fn connect<T>(
        &self,
        tls: T,
    ) -> Result<(Client, Connection<Socket, T::Stream>), Unreached>
    where
        T: MakeTlsConnect<Socket> + Clone,
    {
        let hosts = addresses(&self.driver);
        let first = self.first(hosts.len());
        let mut failures = Vec::new();
        for step in 0..hosts.len() {
            let host = (first.host + step) % hosts.len();
            let next_host = Position { host: (host + 1) % hosts.len(), address: 0 };
            let if_dropped = self.begin_next_at(next_host);
            let mut found = self.resolved(&hosts[host], &mut failures).await;
            ScopeGuard::into_inner(if_dropped);
            let turned = if step == 0 { first.address.checked_rem(found.len()).unwrap_or(0) } else { 0 };
            found.rotate_left(turned);
            for (tried, address) in found.iter().enumerate() {
                let position = |tried| Position { host, address: (turned + tried) % found.len() };
                let is_last = tried + 1 == found.len();
                let if_dropped = self.begin_next_at(if is_last { next_host } else { position(tried + 1) });
                let attempt = timeout(self.timeout, alone(&self.driver, address).connect(tls.clone())).await;
                ScopeGuard::into_inner(if_dropped);
                match attempt {
                    Ok(Ok(connected)) => {
                        self.set_first(position(tried));
                        return Ok(connected);
                    }
                    Ok(Err(error)) => failures.push((address.to_string(), Failure::Driver(error))),
                    Err(_) => failures.push((address.to_string(), Failure::TimedOut(self.timeout))),
                }
            }
        }
        Err(Unreached(failures))
    }

    fn first(&self, hosts: usize) -> Position {
        match self.driver.get_load_balance_hosts() {
            LoadBalanceHosts::Random => {
                let random = usize::from(queue_core::JobId::generate().to_bytes()[15]);
                Position { host: random.checked_rem(hosts).unwrap_or(0), address: 0 }
            }
            _ => *ignore_poison(self.first.lock()),
        }
    }

    fn set_first(&self, position: Position) {
        *ignore_poison(self.first.lock()) = position;
    }

    /// Sets the first address of the next attempt if this attempt is dropped.
    fn begin_next_at(&self, position: Position) -> ScopeGuard<(), impl FnOnce(())> {
        scopeguard::guard((), move |()| self.set_first(position))
    }

    /// The addresses of a host. Each is tried separately, as in libpq.
    async fn resolved(&self, address: &Address, failures: &mut Vec<(String, Failure)>) -> Vec<Address> {
        let (Some(Host::Tcp(name)), None) = (&address.host, address.ip) else { return vec![address.clone()] };
        let failure = match timeout(self.timeout, lookup_host((name.as_str(), address.port))).await {
            Ok(Ok(found)) => {
                let found: Vec<Address> =
                    found.map(|found| Address { ip: Some(found.ip()), ..address.clone() }).collect();
                if !found.is_empty() {
                    return found;
                }
                Failure::Unresolved(io::ErrorKind::NotFound.into())
            }
            Ok(Err(error)) => Failure::Unresolved(error),
            Err(_) => Failure::TimedOut(self.timeout),
        };
        failures.push((address.to_string(), failure));
        Vec::new()
    }
}

fn addresses(driver: &Config) -> Vec<Address> {
    let (hosts, ips, ports) = (driver.get_hosts(), driver.get_hostaddrs(), driver.get_ports());
    let address = |index: usize| Address {
        host: hosts.get(index).cloned(),
        ip: ips.get(index).copied(),
        port: ports.get(index).or(ports.first()).copied().unwrap_or(DEFAULT_PORT),
    };
    (0..hosts.len().max(ips.len())).map(address).collect()
}

/// The configuration with only this address. The driver cannot remove addresses from a
/// configuration.
fn alone(driver: &Config, address: &Address) -> Config {
    let mut alone = Config::new();
    match &address.host {
        Some(Host::Tcp(name)) => alone.host(name),
        #[cfg(unix)]
        Some(Host::Unix(folder)) => alone.host_path(folder),
        None => &mut alone,
    };
    if let Some(ip) = address.ip {
        alone.hostaddr(ip);
    }
    alone.port(address.port);
    if let Some(user) = driver.get_user() {
        alone.user(user);
    }
    if let Some(password) = driver.get_password() {
        alone.password(password);
    }
    if let Some(name) = driver.get_dbname() {
        alone.dbname(name);
    }
    if let Some(options) = driver.get_options() {
        alone.options(options);
    }
    if let Some(name) = driver.get_application_name() {
        alone.application_name(name);
    }
    if let Some(limit) = driver.get_tcp_user_timeout() {
        alone.tcp_user_timeout(*limit);
    }
    if let Some(interval) = driver.get_keepalives_interval() {
        alone.keepalives_interval(interval);
    }
    if let Some(retries) = driver.get_keepalives_retries() {
        alone.keepalives_retries(retries);
    }
    alone
        .target_session_attrs(driver.get_target_session_attrs())
        .ssl_mode(driver.get_ssl_mode())
        .ssl_negotiation(driver.get_ssl_negotiation())
        .channel_binding(driver.get_channel_binding())
        .keepalives(driver.get_keepalives())
        .keepalives_idle(driver.get_keepalives_idle());
    alone
}

/// The failures of all addresses, by their names, in the order of the attempts.
#[derive(Debug)]
pub(crate) struct Unreached(Vec<(String, Failure)>);

#[derive(Debug)]
enum Failure {
    Unresolved(io::Error),
    TimedOut(Duration),
    Driver(tokio_postgres::Error),
    /// The application's pool gave none.
    Pool(String),
}

impl Unreached {
    /// The application's pool failed.
    pub(crate) fn of_pool(error: PoolError) -> Self {
        let failure = match error {
            PoolError::Backend(error) => Failure::Driver(error),
            error => Failure::Pool(error_chain(&error)),
        };
        Self(vec![(SHARED_POOL.to_owned(), failure)])
    }

    /// The runtime of the application's pool has ended.
    pub(crate) fn of_ended_runtime() -> Self {
        Self(vec![(SHARED_POOL.to_owned(), Failure::Pool("its runtime has ended".to_owned()))])
    }

    /// Whether the server or a pooler has no connection left.
    pub(crate) fn is_crowded(&self) -> bool {
        self.driver_errors().any(|error| error.code() == Some(&SqlState::TOO_MANY_CONNECTIONS))
    }

    /// The errors of the driver.
    pub(crate) fn driver_errors(&self) -> impl Iterator<Item = &tokio_postgres::Error> {
        self.0.iter().filter_map(|(_, failure)| match failure {
            Failure::Driver(error) => Some(error),
            Failure::Unresolved(_) | Failure::TimedOut(_) | Failure::Pool(_) => None,
        })
    }
}

impl fmt::Display for Unreached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no host is configured");
        }
        for (index, (address, failure)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{address}: {failure}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.port;
        match (&self.host, self.ip) {
            (Some(Host::Tcp(name)), Some(ip)) if *name != ip.to_string() => {
                write!(f, "{name} ({ip}), port {port}")
            }
            (Some(Host::Tcp(name)), _) => write!(f, "{name}, port {port}"),
            #[cfg(unix)]
            (Some(Host::Unix(folder)), _) => write!(f, "the socket in {}, port {port}", folder.display()),
            (None, Some(ip)) => write!(f, "{ip}, port {port}"),
            (None, None) => write!(f, "port {port}"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unresolved(error) => write!(f, "the name cannot be resolved: {error}"),
            Self::Pool(error) => f.write_str(error),
            Self::TimedOut(after) => write!(f, "no connection was established within {after:?}"),
            Self::Driver(error) => match error.as_db_error() {
                Some(refusal) => write!(f, "the server refused the connection: {}", refusal.message()),
                None => f.write_str(&error_chain(error)),
            },
        }
    }
}

impl StdError for Unreached {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.driver_errors().last().map(|error| error as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_keeps_all_other_settings() {
        let driver: Config =
            "host=one,two port=1,2 user=ada password=secret dbname=shop options='-c a=b' application_name=jobs \
             keepalives_idle=7 keepalives_interval=8 keepalives_retries=9 tcp_user_timeout=11 channel_binding=require \
             target_session_attrs=read-write"
                .parse()
                .unwrap();
        let both = addresses(&driver);
        assert_eq!(both.iter().map(ToString::to_string).collect::<Vec<_>>(), ["one, port 1", "two, port 2"]);
        let second = alone(&driver, &both[1]);
        let expected: Config =
            "host=two port=2 user=ada password=secret dbname=shop options='-c a=b' application_name=jobs \
             keepalives_idle=7 keepalives_interval=8 keepalives_retries=9 tcp_user_timeout=11 channel_binding=require \
             target_session_attrs=read-write"
                .parse()
                .unwrap();
        assert_eq!(second, expected);
    }
}
