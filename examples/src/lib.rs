//! The examples are in this package's root folder, one file an idea.
