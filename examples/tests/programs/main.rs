//! The examples, run as their users run them.

#[cfg(test)]
mod program;
#[cfg(test)]
mod quickstart;
#[cfg(test)]
mod small_examples;
