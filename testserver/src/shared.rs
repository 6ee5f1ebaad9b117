//! The server that the tests of a process share.

use std::env;
use std::sync::OnceLock;

use anyhow::{Result, anyhow};

use crate::{Options, Server};

/// Environment variable with the URL of a server to use instead of a throwaway server.
pub const URL_VARIABLE: &str = "QUEUE_TEST_POSTGRES_URL";

/// The URL of a server on which tests may create and drop schemas and roles.
///
/// Returns the URL in `QUEUE_TEST_POSTGRES_URL`, otherwise that of a throwaway server. The first
/// call in a process starts that server, and it ends with the process.
pub fn url() -> Result<String> {
    static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();

    if let Some(url) = given_url() {
        return Ok(url);
    }
    // A failure is kept, because each test would repeat it slowly.
    let server =
        SERVER.get_or_init(|| Server::start(&Options::throwaway()).map_err(|error| format!("{error:#}")));
    server.as_ref().map(Server::url).map_err(|error| anyhow!("{error}"))
}

/// The value of `QUEUE_TEST_POSTGRES_URL`, if it is set and not empty.
pub fn given_url() -> Option<String> {
    env::var(URL_VARIABLE).ok().filter(|url| !url.is_empty())
}
