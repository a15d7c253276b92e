//! Tests of source vectors.
