//! KEDA's string map, the one parser.
