//! The CustomResourceDefinitions.
