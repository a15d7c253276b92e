//! How Jobs look on a terminal, and in a log.
