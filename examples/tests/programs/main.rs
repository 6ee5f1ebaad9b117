//! Runs the examples as a user does.

#[cfg(test)]
mod hash_folder;
#[cfg(test)]
mod program;
#[cfg(test)]
mod small_examples;
