//! Runs other programs. Errors name the command.

use std::env;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};

/// A command of the cargo that started this program, so that a toolchain from the command line is
/// kept.
pub(crate) fn cargo<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args);
    command
}

/// Runs a command with inherited output. Fails if the command fails.
pub(crate) fn stream(command: &mut Command) -> Result<()> {
    let line = command_line(command);
    println!("$ {line}");
    let status = command.status().with_context(|| format!("failed to start `{line}`"))?;
    ensure!(status.success(), "`{line}` failed with {status}");
    Ok(())
}

/// Runs a command with inherited output and calls `read` with each line of its standard output.
/// Fails if the command fails.
pub(crate) fn stream_lines(command: &mut Command, mut read: impl FnMut(&str)) -> Result<()> {
    let line = command_line(command);
    println!("$ {line}");
    let child = command.stdout(Stdio::piped()).spawn();
    let mut child = child.with_context(|| format!("failed to start `{line}`"))?;
    if let Some(output) = child.stdout.take() {
        let mut output = BufReader::new(output);
        let mut bytes = Vec::new();
        while output.read_until(b'\n', &mut bytes).with_context(|| format!("failed to read from `{line}`"))?
            > 0
        {
            let mut terminal = io::stdout().lock();
            terminal
                .write_all(&bytes)
                .and_then(|()| terminal.flush())
                .context("failed to write the output")?;
            read(&String::from_utf8_lossy(&bytes));
            bytes.clear();
        }
    }
    let status = child.wait().with_context(|| format!("failed to wait for `{line}`"))?;
    ensure!(status.success(), "`{line}` failed with {status}");
    Ok(())
}

/// Runs a command and returns its output and status.
pub(crate) fn capture(command: &mut Command) -> Result<Output> {
    command.output().with_context(|| format!("failed to start `{}`", command_line(command)))
}

/// Runs a command that must succeed and returns its standard output.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let output = capture(command)?;
    let line = command_line(command);
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{line}` failed with {}: {}", output.status, errors.trim());
    String::from_utf8(output.stdout).with_context(|| format!("`{line}` wrote something other than UTF-8"))
}

/// The command as typed in a shell.
pub(crate) fn command_line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_stem().unwrap_or_default();
    let words = [program].into_iter().chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_names_the_command_and_arguments() {
        let error = read(&mut cargo(["no-such-subcommand"])).unwrap_err().to_string();
        assert!(error.starts_with("`cargo no-such-subcommand` failed with exit status"), "{error}");
        assert!(error.contains("no such command"), "{error}");
    }
}
