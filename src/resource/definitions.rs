//! The CustomResourceDefinitions, written by hand.
//!
//! Typed, so that a typo fails at `kubectl apply`, with CEL where fields exclude
//! each other; small, because the Job template is left open. The parsers beside
//! this file read the same fields, which `tests/it/check.rs` proves.

/// A CustomResourceDefinition as it is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition {
    /// `metadata.name`: plural and group.
    pub name: &'static str,
    /// The manifest.
    pub yaml: &'static str,
}

/// Every definition of group `slipway.dev`.
pub const ALL: [Definition; 4] = [
    Definition {
        name: "scaledjobs.slipway.dev",
        yaml: include_str!("definitions/scaledjobs.yaml"),
    },
    Definition {
        name: "triggerauthentications.slipway.dev",
        yaml: include_str!("definitions/triggerauthentications.yaml"),
    },
    Definition {
        name: "clustertriggerauthentications.slipway.dev",
        yaml: include_str!("definitions/clustertriggerauthentications.yaml"),
    },
    Definition {
        name: "eventjobs.slipway.dev",
        yaml: include_str!("definitions/eventjobs.yaml"),
    },
];

/// All of them as one YAML stream, for `kubectl apply --filename -`.
pub fn stream() -> String {
    ALL.map(|definition| definition.yaml).join("---\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::document;

    #[test]
    fn definitions_are_small_and_named_as_they_say() {
        let (documents, misread) = document::read(&stream());
        assert_eq!(misread, []);
        assert_eq!(documents.len(), ALL.len());
        for (definition, document) in ALL.iter().zip(&documents) {
            assert_eq!(document.kind, "CustomResourceDefinition");
            assert_eq!(&*document.id.name, definition.name);
            assert_eq!(document.value["spec"]["group"], "slipway.dev");
            assert!(definition.yaml.len() < 48 * 1024, "{}", definition.name);
        }
    }

    #[test]
    fn both_authentications_have_one_schema() {
        let (documents, _) = document::read(&stream());
        let spec = |index: usize| {
            documents[index]
                .value
                .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec")
                .cloned()
        };
        assert!(spec(1).is_some());
        assert_eq!(spec(1), spec(2));
    }
}
