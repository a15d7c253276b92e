//! From Jobs to counts.
