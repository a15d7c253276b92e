//! Several triggers, one demand.
