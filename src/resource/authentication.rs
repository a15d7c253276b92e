//! The wire form of a TriggerAuthentication.
