//! `cargo run -p queue-testserver`: a throwaway PostgreSQL server to try things on. It prints its URL, and is
//! gone at the end of standard input or on Ctrl-C.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool talks to its terminal")]

use std::io;
use std::process::ExitCode;

use queue_testserver::{Options, Server};

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Returned from here, it would be buried under a backtrace wherever those are switched on.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> anyhow::Result<()> {
    let server = Server::start(&Options::throwaway().progress(|line| eprintln!("{line}")))?;
    println!("{}", server.url());
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}
