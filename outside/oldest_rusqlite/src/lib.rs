//! Runs the tests of queue-sqlite with the oldest rusqlite: see the manifest.
