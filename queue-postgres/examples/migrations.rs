//! Prints the script that creates or migrates a schema, for other migration tools.
//!
//! ```sh
//! cargo run -p queue-postgres --example migrations -- queue > queue.sql
//! ```

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the script is its output")]

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let script = match (arguments.next(), arguments.next()) {
        (Some(schema), None) if schema != "--help" => queue_postgres::migrations_sql(&schema),
        _ => {
            eprintln!(
                "usage: migrations SCHEMA, where the schema is a name such as `{}`",
                queue_postgres::DEFAULT_SCHEMA
            );
            return ExitCode::from(2);
        }
    };
    match script {
        Ok(script) => {
            print!("{script}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
