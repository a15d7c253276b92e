//! References in files.
