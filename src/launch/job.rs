//! From an object and a round to Jobs.
