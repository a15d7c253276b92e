//! Tests of controller.
