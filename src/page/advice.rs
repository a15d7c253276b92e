//! What to do about an object that does not work: the next step, and a command that shows more.

use crate::page::object::{PageKind, PageObject, PageState};

/// A next step, in words, and what to type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// One or two sentences.
    pub step: &'static str,
    /// A command for a shell.
    pub command: String,
}

/// What to do about an object; `None` when nothing is wrong with it.
pub fn advice(object: &PageObject) -> Option<Advice> {
    if !object.state.is_trouble() {
        return None;
    }
    let namespace = &object.key.id.namespace;
    let step = match object.reason.as_str() {
        "NoStatus" => {
            return Some(Advice {
                step: "The replica that leads writes the status. Look for the holder of the Lease, and at its log.",
                command: format!("kubectl -n {namespace} get lease slipway -o yaml"),
            });
        }
        "Quota" => {
            return Some(Advice {
                step: "A ResourceQuota of the namespace is used up. It goes on by itself when Jobs go or the quota grows.",
                command: format!("kubectl -n {namespace} describe resourcequota"),
            });
        }
        "ScaledJobCheckFailed" | "Invalid" => {
            "Correct the field that the message names, and apply the object again."
        }
        "TriggerError" | "PartialTriggerError" => {
            "Check the address, the credentials and the network of the source that the message names. It is read again at each poll."
        }
        "KEDAJobCreateFailed" | "NotReady" => {
            "Correct the Job template: the message has the API server's own words. It is proved again when it changes."
        }
        "SecretMissing" => {
            "Create the Secret, or the key in it, that the message names. Requests are answered 503 until then."
        }
        "SecretForbidden" => "Grant Slipway the right to get the Secret that the message names.",
        "SecretInvalid" => "Put a usable key into the Secret that the message names.",
        "InternalError" => {
            "This is a bug in Slipway. It is tried again after 10 minutes; its log has the details."
        }
        "Conflict" => {
            "Another replica wrote the object at the same time. It is tried again at the next poll."
        }
        _ if object.state == PageState::Unclear => {
            "It is tried again by itself. If it stays so, look at the message and at the log."
        }
        _ => "Look at the message and at the Kubernetes Events of the object.",
    };
    Some(Advice {
        step,
        command: describe(object),
    })
}

/// Shows the object with its Kubernetes Events.
pub fn describe(object: &PageObject) -> String {
    let id = &object.key.id;
    let resource = object.key.kind.resource();
    format!(
        "kubectl -n {} describe {resource} {}",
        id.namespace, id.name
    )
}

/// Pauses the object, or lets it go on. Pausing is `kubectl`'s: the page only shows how.
pub fn pause(object: &PageObject) -> String {
    let id = &object.key.id;
    let resource = object.key.kind.resource();
    let is_paused = object.state == PageState::Paused;
    match object.key.kind {
        PageKind::EventJob => {
            let patch = format!("{{\"spec\":{{\"suspend\":{}}}}}", !is_paused);
            format!(
                "kubectl -n {} patch {resource} {} --type=merge -p '{patch}'",
                id.namespace, id.name
            )
        }
        PageKind::ScaledJob | PageKind::KedaScaledJob | PageKind::CronJob => {
            let annotation = match object.key.kind {
                PageKind::ScaledJob => "autoscaling.keda.sh/paused",
                _ => "slipway.dev/paused",
            };
            let value = if is_paused { "-" } else { "=true" };
            format!(
                "kubectl -n {} annotate --overwrite {resource} {} {annotation}{value}",
                id.namespace, id.name
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(kind: &str, reason: &str, ready: &str) -> PageObject {
        PageObject::of(&json!({
            "apiVersion": "slipway.dev/v1alpha1", "kind": kind,
            "metadata": {"name": "a", "namespace": "n"},
            "status": {"conditions": [{"type": "Ready", "status": ready, "reason": reason, "message": "m"}]},
        }))
        .unwrap()
    }

    #[test]
    fn every_trouble_has_a_next_step_and_a_command() {
        for reason in [
            "Quota",
            "Invalid",
            "SecretMissing",
            "Other",
            "InternalError",
        ] {
            let advice = advice(&object("EventJob", reason, "False")).unwrap();
            assert!(advice.step.ends_with('.'), "{reason}");
            assert!(advice.command.starts_with("kubectl -n n "), "{reason}");
        }
        assert_eq!(advice(&object("EventJob", "Ready", "True")), None);
    }

    #[test]
    fn pausing_is_a_command_for_each_kind() {
        let event_job = pause(&object("EventJob", "Ready", "True"));
        assert_eq!(
            event_job,
            "kubectl -n n patch eventjob.slipway.dev a --type=merge -p '{\"spec\":{\"suspend\":true}}'"
        );
        let scaled_job = pause(&object("ScaledJob", "Ready", "True"));
        assert!(scaled_job.ends_with("scaledjob.slipway.dev a autoscaling.keda.sh/paused=true"));
    }
}
