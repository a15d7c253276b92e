//! One turn of a counted trigger.
