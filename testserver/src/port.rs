//! Ports on the loopback interface.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result};

/// Below the range of outgoing connections. While a server is down, a reconnecting client must
/// never get its port or connect to itself.
const RANGE: std::ops::Range<u16> = 20_000..30_000;

const TRIES: usize = 1000;

/// A port that was free when checked. Another process may take it before the caller does.
pub(crate) fn free() -> Result<u16> {
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    std::iter::repeat_with(random).take(TRIES).find(free).context("found no free port on 127.0.0.1")
}

/// Random, because processes that start together would otherwise try the same ports in the same
/// order.
fn random() -> u16 {
    let width = u64::from(RANGE.end - RANGE.start);
    let offset = RandomState::new().hash_one(()) % width;
    u16::try_from(offset).map_or(RANGE.start, |offset| RANGE.start + offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_port_can_be_listened_on() {
        let port = free().unwrap();
        assert!(RANGE.contains(&port));
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    }

    #[test]
    fn ports_differ() {
        let ports: std::collections::BTreeSet<u16> = std::iter::repeat_with(random).take(100).collect();
        assert!(ports.len() > 50, "{ports:?}");
    }
}
