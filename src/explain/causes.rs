//! What can be in the way, each with its number, what to do next and a command.

use jiff::Timestamp;
use serde_json::Value;

use super::times::{beside, length};
use super::tools::Tools;
use super::{Cause, LeaseEvidence, ObjectEvidence};
use crate::history::{Subject, SubjectKind};
use crate::resource::scaled_job::{
    KEDA_PAUSED_ANNOTATION, MANAGED_ANNOTATION, PAUSED_ANNOTATION, pauses,
};

/// A text of others as the end of a sentence of ours.
pub(super) fn full(text: &str) -> String {
    format!("{}.", text.trim_end_matches('.'))
}

/// There is no such object.
pub(super) fn missing(evidence: &ObjectEvidence) -> Cause {
    let Subject { kind, id } = &evidence.subject;
    Cause {
        word: "NotFound",
        cause: format!(
            "There is no {} {} in namespace {}: 0 objects have that name.",
            kind.name(),
            id.name,
            id.namespace
        ),
        next: "Look for the name and the namespace that you mean.".to_owned(),
        command: match &evidence.tools {
            Tools::Kubectl => format!(
                "kubectl get {} -n {}",
                match kind {
                    SubjectKind::CronJob => "cronjobs.batch,eventjobs.slipway.dev",
                    _ => "scaledjobs.slipway.dev,eventjobs.slipway.dev",
                },
                id.namespace
            ),
            Tools::Local(_) => evidence.tools.describe(&evidence.subject),
        },
    }
}

/// Nobody who was asked has heard of such an object.
pub(super) fn unheard_of(evidence: &ObjectEvidence) -> Cause {
    let Subject { kind, id } = &evidence.subject;
    Cause {
        word: "NotFound",
        cause: format!(
            "There is no {} {} in namespace {}, as far as is known here: 0 records and 0 Jobs are about it.",
            kind.name(),
            id.name,
            id.namespace
        ),
        next: "Look for the name and the namespace that you mean. If it is there, nothing has happened to it yet."
            .to_owned(),
        command: evidence.tools.describe(&evidence.subject),
    }
}

/// Another program runs it, or nobody: it was not handed over, or only half.
pub(super) fn not_handed_over(evidence: &ObjectEvidence) -> Cause {
    let object = evidence.object.as_ref().unwrap_or(&Value::Null);
    let says = |name: &str| object["metadata"]["annotations"][name] == "true";
    let managed = format!("the annotation {MANAGED_ANNOTATION}: \"true\"");
    let (who, lets_go, pause) = match evidence.subject.kind {
        SubjectKind::CronJob => (
            "Kubernetes runs it",
            object["spec"]["suspend"] == true,
            "spec.suspend: true".to_owned(),
        ),
        _ => (
            "KEDA runs it",
            says(KEDA_PAUSED_ANNOTATION),
            format!("the annotation {KEDA_PAUSED_ANNOTATION}: \"true\""),
        ),
    };
    let who = if lets_go { "Nobody runs it" } else { who };
    let missing: Vec<String> = [(lets_go, pause), (says(MANAGED_ANNOTATION), managed)]
        .into_iter()
        .filter_map(|(is_there, what)| (!is_there).then_some(what))
        .collect();
    Cause {
        word: "NotManaged",
        cause: format!(
            "{who}. {} of 2 things that hand it over to Slipway are missing: {}.",
            missing.len(),
            missing.join(", and ")
        ),
        next: "Set what is missing, if Slipway is to run it.".to_owned(),
        command: evidence.tools.hand_over(&evidence.subject),
    }
}

/// Its text is not valid.
pub(super) fn invalid(evidence: &ObjectEvidence, why: &str) -> Cause {
    let count = why.matches("; ").count() + 1;
    Cause {
        word: "Invalid",
        cause: format!(
            "It is not valid, so nothing is launched. {count} to correct: {}",
            full(why)
        ),
        next: "Correct the fields that are named. An edit takes effect at once.".to_owned(),
        command: evidence.tools.describe(&evidence.subject),
    }
}

/// It is paused.
pub(super) fn paused(evidence: &ObjectEvidence) -> Cause {
    let annotations = evidence
        .object
        .as_ref()
        .map_or(&Value::Null, |object| &object["metadata"]["annotations"]);
    let is_on = |name: &&str| annotations[*name].as_str().is_some_and(pauses);
    let own = PAUSED_ANNOTATION;
    let annotation = [own, KEDA_PAUSED_ANNOTATION].into_iter().find(is_on);
    let annotation = annotation.unwrap_or(own);
    Cause {
        word: "Paused",
        cause: format!(
            "It is paused by 1 annotation: {annotation}. Nothing is read and nothing is launched."
        ),
        next: "Remove the annotation. It is looked at at once.".to_owned(),
        command: evidence.tools.unannotate(&evidence.subject, annotation),
    }
}

/// A trigger cannot be read.
pub(super) fn unread(
    evidence: &ObjectEvidence,
    (name, message, reason): (&str, &str, Option<&str>),
    (failed, all): (usize, usize),
    since: Option<(Timestamp, u32)>,
) -> Cause {
    if reason == Some("Missing") || (reason.is_none() && is_about_missing_secret(message)) {
        return secret_missing(evidence, message, Some(name));
    }
    let since = match since {
        Some((since, times)) if times > 1 => format!(" It failed {times} times since {since:.0}."),
        _ => String::new(),
    };
    let next = match reason {
        Some("Forbidden") => {
            "Correct the credentials or the rights that its TriggerAuthentication leads to. No restart is needed."
        }
        Some("NotFound" | "Invalid") => "Correct the trigger's metadata.",
        _ => "Check that the source answers from where Slipway runs. It is tried again by itself.",
    };
    Cause {
        word: "SourceUnread",
        cause: format!(
            "{failed} of {all} triggers could not be read, and an unknown backlog launches nothing. Trigger {name}: {}{since}",
            full(message)
        ),
        next: next.to_owned(),
        command: evidence.tools.describe(&evidence.subject),
    }
}

/// Whether a text of ours says that a Secret, or a key in it, is not there.
pub(super) fn is_about_missing_secret(message: &str) -> bool {
    let words = ["does not exist", "has no", "is missing", "is not there"];
    message.contains("Secret ") && words.iter().any(|word| message.contains(word))
}

/// A Secret, or a key in it, is missing.
pub(super) fn secret_missing(
    evidence: &ObjectEvidence,
    message: &str,
    trigger: Option<&str>,
) -> Cause {
    let of_trigger = match trigger {
        Some(name) => format!(" Trigger {name} needs it."),
        None => String::new(),
    };
    let named = object_named(message);
    let (kind, namespace, name) = named.clone().unwrap_or_else(|| {
        (
            "secret".into(),
            evidence.subject.id.namespace.to_string(),
            "NAME".into(),
        )
    });
    let command = match (&evidence.tools, named) {
        (Tools::Kubectl, Some(_)) => format!("kubectl -n {namespace} get {kind} {name}"),
        (tools, _) => tools.get(&namespace, "secrets"),
    };
    Cause {
        word: "SecretMissing",
        cause: format!("1 reference leads nowhere: {}{of_trigger}", full(message)),
        next: format!(
            "Create {kind} {name} with the key that is named, or correct the reference. It is read again when it changes: no restart is needed."
        ),
        command,
    }
}

/// Kind, namespace and name in `Secret production/aws-credentials …`.
fn object_named(message: &str) -> Option<(String, String, String)> {
    let kinds = [
        "Secret",
        "ConfigMap",
        "TriggerAuthentication",
        "ServiceAccount",
    ];
    let mut words = message.split_whitespace().peekable();
    while let Some(word) = words.next() {
        if kinds.contains(&word)
            && let Some((namespace, name)) = words.peek().and_then(|id| id.split_once('/'))
        {
            let name = name.trim_end_matches([':', ',', ';', '.']);
            return Some((
                word.to_ascii_lowercase(),
                namespace.to_owned(),
                name.to_owned(),
            ));
        }
    }
    None
}

/// The cap keeps Jobs back.
pub(super) fn capped(
    evidence: &ObjectEvidence,
    held_back: u32,
    unfinished: u32,
    cap: Option<u32>,
) -> Cause {
    let (of, larger) = match cap {
        Some(cap) => (
            format!("{unfinished} of at most {cap}"),
            cap.saturating_mul(2),
        ),
        None => (unfinished.to_string(), 200),
    };
    Cause {
        word: "Capped",
        cause: format!("The cap keeps {held_back} Jobs back: {of} Jobs are unfinished."),
        next: format!(
            "They start as Jobs end, without waiting for the next poll. For more Jobs at once, raise spec.maxReplicaCount, to {larger} for example."
        ),
        command: evidence.tools.patch(
            &evidence.subject,
            &format!("{{\"maxReplicaCount\":{larger}}}"),
        ),
    }
}

/// The API server made fewer Jobs than were wanted.
pub(super) fn not_made(
    evidence: &ObjectEvidence,
    (launched, wanted): (u32, u32),
    (reason, message): (Option<&str>, &str),
) -> Cause {
    let quota = reason == Some("Quota") || message.contains("exceeded quota");
    let refused = reason == Some("Rejected") || message.contains("was refused");
    let made = format!("{launched} of {wanted} Jobs were made");
    let (word, cause, next) = if quota {
        (
            "Quota",
            format!(
                "A quota of the namespace is used up: {made}. {}",
                full(message)
            ),
            "Raise the quota, or wait until Jobs are removed. It is tried again by itself.",
        )
    } else if refused {
        (
            "Refused",
            format!("The API server refuses its Jobs: {made}. {}", full(message)),
            "Correct spec.jobTargetRef, or the policy that refuses it. An edit is tried at once.",
        )
    } else if reason == Some("Forbidden") || message.contains("not allowed") {
        (
            "Forbidden",
            format!("Slipway may not make its Jobs: {made}. {}", full(message)),
            "Give Slipway's ServiceAccount the right that is named. The chart's Role has it.",
        )
    } else {
        (
            "NotMade",
            format!("{made}, and the others not now: {}", full(message)),
            "It is tried again by itself. Look at the API server if it lasts.",
        )
    };
    let command = if quota {
        evidence
            .tools
            .get(&evidence.subject.id.namespace, "resourcequota")
    } else {
        evidence.tools.describe(&evidence.subject)
    };
    Cause {
        word,
        cause,
        next: next.to_owned(),
        command,
    }
}

/// The template is refused in a dry run, before anything is wanted.
pub(super) fn template_refused(evidence: &ObjectEvidence, message: &str) -> Cause {
    not_made(evidence, (0, 1), (Some("Rejected"), message))
}

/// Its Jobs could not be counted.
pub(super) fn uncounted(evidence: &ObjectEvidence, message: &str) -> Cause {
    Cause {
        word: "Uncounted",
        cause: format!(
            "Its Jobs could not be counted, and an unknown number launches 0: {}",
            full(message)
        ),
        next: "It is tried again within seconds. Look at the API server, and at Slipway's rights, if it lasts.".to_owned(),
        command: evidence.tools.jobs(&evidence.subject.id.namespace),
    }
}

/// Whether nobody leads, as far as the Lease tells.
pub(super) fn no_leader(evidence: &ObjectEvidence) -> Option<Cause> {
    let now = evidence.now;
    let (namespace, what) = match &evidence.lease {
        LeaseEvidence::Unknown => return None,
        LeaseEvidence::Absent => (
            evidence.subject.id.namespace.to_string(),
            "There is no Lease \"slipway\": 0 replicas lead".to_owned(),
        ),
        LeaseEvidence::Found {
            namespace,
            holder,
            renewed_at,
            duration_seconds,
        } => {
            let age = renewed_at.map(|at| now.duration_since(at));
            let is_old = age.is_none_or(|age| age.as_secs() > *duration_seconds);
            if !holder.is_empty() && !is_old {
                return None;
            }
            let renewed = match renewed_at {
                Some(at) => format!("renewed last at {}", beside(*at, now)),
                None => "never renewed".to_owned(),
            };
            let what = format!(
                "0 replicas lead: the Lease \"slipway\" in namespace {namespace} is {}, {renewed}",
                if holder.is_empty() { "free" } else { "expired" }
            );
            (namespace.clone(), what)
        }
    };
    Some(Cause {
        word: "NoLeader",
        cause: format!("{what}. Without a leader nothing is read or launched."),
        next: "Look why no Pod of Slipway is ready. Another replica leads within seconds of one that ends.".to_owned(),
        command: format!(
            "kubectl -n {namespace} get pods -l app.kubernetes.io/name=slipway"
        ),
    })
}

/// The replicas that were asked stand by.
pub(super) fn stands_by(evidence: &ObjectEvidence) -> Cause {
    let (namespace, holder) = match &evidence.lease {
        LeaseEvidence::Found {
            namespace, holder, ..
        } if !holder.is_empty() => (namespace.clone(), format!(" {holder} leads.")),
        _ => (evidence.subject.id.namespace.to_string(), String::new()),
    };
    Cause {
        word: "StandsBy",
        cause: format!(
            "0 of the replicas that were asked lead: they stand by, and have no decisions of late.{holder}"
        ),
        next: "Ask the replica that leads, with one more --admin.".to_owned(),
        command: format!("kubectl -n {namespace} get lease slipway"),
    }
}

/// Nobody has looked for long.
pub(super) fn stale(
    evidence: &ObjectEvidence,
    last: Timestamp,
    interval: std::time::Duration,
) -> Cause {
    let ago = length(evidence.now.duration_since(last));
    Cause {
        word: "NotLookedAt",
        cause: format!(
            "Nobody has looked at it for {ago}, and it is to be looked at every {} s.",
            interval.as_secs()
        ),
        next: "Look whether a replica runs and leads.".to_owned(),
        command: evidence
            .tools
            .get(&evidence.subject.id.namespace, "lease slipway"),
    }
}

/// A bug.
pub(super) fn broken(evidence: &ObjectEvidence) -> Cause {
    Cause {
        word: "InternalError",
        cause: "1 bug in Slipway ended the work on it. It is tried again when the object changes, or after 10 minutes.".to_owned(),
        next: "Report what the log says at that time.".to_owned(),
        command: match &evidence.tools {
            Tools::Kubectl => "kubectl logs -l app.kubernetes.io/name=slipway --since=1h".to_owned(),
            Tools::Local(_) => evidence.tools.jobs(&evidence.subject.id.namespace),
        },
    }
}

/// Nothing has been decided yet.
pub(super) fn not_yet(evidence: &ObjectEvidence) -> Cause {
    Cause {
        word: "NotYet",
        cause: "0 decisions are known: its status has none, and no record of a replica was given.".to_owned(),
        next: "Wait for a polling interval. If nothing comes, look whether Slipway acts on this namespace.".to_owned(),
        command: evidence.tools.describe(&evidence.subject),
    }
}
