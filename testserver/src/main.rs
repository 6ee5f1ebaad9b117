//! `cargo run -p queue-testserver`: starts a throwaway PostgreSQL server and prints its URL. The
//! server ends at the end of standard input or on Ctrl-C.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool talks to its terminal")]

use std::io;
use std::process::ExitCode;

use queue_testserver::{Options, Server};

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // An error returned from `main` would be printed with a backtrace.
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
