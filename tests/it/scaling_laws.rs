//! Tests of scaling laws.
