//! Runs the examples as a user does.

#[cfg(test)]
mod program;
#[cfg(test)]
mod quickstart;
#[cfg(test)]
mod small_examples;
