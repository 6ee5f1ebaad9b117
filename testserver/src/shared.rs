//! The server that a process shares among its tests.

use std::env;
use std::sync::OnceLock;

use anyhow::{Result, anyhow};

use crate::{Options, Server};

/// The variable that names a server to use instead of a throwaway one.
pub const URL_VARIABLE: &str = "QUEUE_TEST_POSTGRES_URL";

/// The URL of a server on which tests may create and drop schemas and roles.
///
/// It is the one that `QUEUE_TEST_POSTGRES_URL` gives, else that of a throwaway server, started by the first
/// call in a process and gone when the process ends.
pub fn url() -> Result<String> {
    static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();

    if let Some(url) = given_url() {
        return Ok(url);
    }
    // A failure is kept as well: it would only be repeated, slowly, for every test.
    let server =
        SERVER.get_or_init(|| Server::start(&Options::throwaway()).map_err(|error| format!("{error:#}")));
    server.as_ref().map(Server::url).map_err(|error| anyhow!("{error}"))
}

/// What `QUEUE_TEST_POSTGRES_URL` says, if it says anything.
pub fn given_url() -> Option<String> {
    env::var(URL_VARIABLE).ok().filter(|url| !url.is_empty())
}
