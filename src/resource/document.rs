//! YAML and JSON files as documents that know their lines.
