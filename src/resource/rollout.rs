//! `rolloutStrategy` and `rollout`: what their words mean.
//!
//! KEDA takes nothing written for `immediate` and deletes running Jobs at an
//! edit. Here a running Job is deleted only if somebody wrote that word, so
//! "unwritten" is an answer of its own.

use super::Propagation;

/// What an object says about Jobs of its earlier generations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutChoice {
    /// Nothing. KEDA deletes them then; we do not.
    Nothing,
    /// `gradual`: they run on.
    Gradual,
    /// `immediate`: they are deleted.
    Immediate,
}

impl RolloutChoice {
    /// The word in force: the deprecated `rolloutStrategy` where it says something, else
    /// `rollout.strategy`. `None` for a word that is neither `gradual` nor `immediate`.
    pub fn resolve(rollout_strategy: &str, strategy: &str) -> Option<Self> {
        let word = if rollout_strategy.is_empty() {
            strategy
        } else {
            rollout_strategy
        };
        match word {
            "" => Some(Self::Nothing),
            "gradual" => Some(Self::Gradual),
            "immediate" => Some(Self::Immediate),
            _ => None,
        }
    }
}

/// How Jobs are deleted: `rollout.propagationPolicy`, in the background by default.
/// `None` for a word that is neither `background` nor `foreground`.
pub fn propagation(policy: &str) -> Option<Propagation> {
    match policy {
        "" | "background" => Some(Propagation::Background),
        "foreground" => Some(Propagation::Foreground),
        _ => None,
    }
}
