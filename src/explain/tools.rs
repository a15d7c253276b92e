//! How people look further, and change something: in a cluster with kubectl, on a machine in their files.

use crate::history::{Subject, SubjectKind};
use crate::resource::ObjectId;
use crate::resource::scaled_job::{KEDA_PAUSED_ANNOTATION, MANAGED_ANNOTATION};

/// Where an object lives, for the commands that are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tools {
    /// In a cluster.
    Kubectl,
    /// In files, with this state folder.
    Local(String),
}

impl Tools {
    /// Shows an object with its Events.
    pub(super) fn describe(&self, subject: &Subject) -> String {
        match self {
            Self::Kubectl => format!(
                "kubectl -n {} describe {} {}",
                subject.id.namespace,
                resource(subject.kind),
                subject.id.name
            ),
            Self::Local(_) => CHECK.to_owned(),
        }
    }

    /// Changes an object's spec.
    pub(super) fn patch(&self, subject: &Subject, spec: &str) -> String {
        match self {
            Self::Kubectl => format!(
                "kubectl -n {} patch {} {} --type merge -p '{{\"spec\":{spec}}}'",
                subject.id.namespace,
                resource(subject.kind),
                subject.id.name
            ),
            Self::Local(_) => CHECK.to_owned(),
        }
    }

    /// Tells Slipway to run an object of another program.
    pub(super) fn hand_over(&self, subject: &Subject) -> String {
        let ObjectId { namespace, name } = &subject.id;
        match (self, subject.kind) {
            (Self::Local(_), _) => CHECK.to_owned(),
            (Self::Kubectl, SubjectKind::CronJob) => format!(
                "kubectl -n {namespace} patch {} {name} --type merge -p \
                 '{{\"metadata\":{{\"annotations\":{{\"{MANAGED_ANNOTATION}\":\"true\"}}}},\"spec\":{{\"suspend\":true}}}}'",
                resource(subject.kind)
            ),
            (Self::Kubectl, _) => format!(
                "kubectl -n {namespace} annotate {} {name} {KEDA_PAUSED_ANNOTATION}=true {MANAGED_ANNOTATION}=true",
                resource(subject.kind)
            ),
        }
    }

    /// Takes an annotation off.
    pub(super) fn unannotate(&self, subject: &Subject, annotation: &str) -> String {
        match self {
            Self::Kubectl => format!(
                "kubectl -n {} annotate {} {} {annotation}-",
                subject.id.namespace,
                resource(subject.kind),
                subject.id.name
            ),
            Self::Local(_) => CHECK.to_owned(),
        }
    }

    /// Shows an object of another kind.
    pub(super) fn get(&self, namespace: &str, what: &str) -> String {
        match self {
            Self::Kubectl => format!("kubectl -n {namespace} get {what}"),
            Self::Local(_) => CHECK.to_owned(),
        }
    }

    /// Lists Jobs.
    pub(super) fn jobs(&self, namespace: &str) -> String {
        self.on_state(format!("slipway jobs -n {namespace}"))
    }

    /// Shows what a Job wrote.
    pub(super) fn logs(&self, namespace: &str, job: &str) -> String {
        self.on_state(format!("slipway logs {job} -n {namespace}"))
    }

    /// Runs a Job that failed once more.
    pub(super) fn rerun(&self, namespace: &str, job: &str) -> String {
        self.on_state(format!("slipway rerun {job} -n {namespace}"))
    }

    /// Makes the Jobs of past due times.
    pub(super) fn backfill(&self, subject: &Subject, time: &str) -> String {
        let ObjectId { namespace, name } = &subject.id;
        let name = match subject.kind {
            SubjectKind::CronJob => format!("cronjob/{name}"),
            _ => name.to_string(),
        };
        self.on_state(format!(
            "slipway backfill {name} -n {namespace} --from {time} --to {time}"
        ))
    }

    /// A command of ours, with the state folder that was asked.
    fn on_state(&self, command: String) -> String {
        match self {
            Self::Kubectl => command,
            Self::Local(state) => format!("{command} --state {state}"),
        }
    }

    /// Explains something else.
    pub(super) fn explain(&self, namespace: &str, what: &str) -> String {
        self.on_state(format!("slipway explain {what} -n {namespace}"))
    }
}

/// What there is to type where objects are files.
const CHECK: &str = "slipway check FILE";

/// A kind as kubectl has it, with its group.
fn resource(kind: SubjectKind) -> &'static str {
    match kind {
        SubjectKind::ScaledJob => "scaledjobs.slipway.dev",
        SubjectKind::KedaScaledJob => "scaledjobs.keda.sh",
        SubjectKind::EventJob => "eventjobs.slipway.dev",
        SubjectKind::CronJob => "cronjobs.batch",
    }
}
