//! KEDA's strategies: from a demand and what already runs to what to start.
//!
//! Source: KEDA, `pkg/scaling/executor/scale_jobs.go`. The cap on top is not
//! KEDA's; it stands in the parent, so that no strategy can forget it.

use super::Strategy;

pub mod float;

/// What a strategy looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Situation {
    /// Jobs wanted, at most the budget above the minimum.
    pub max_scale: i64,
    /// Units of work waiting, rounded up: no more Jobs than this are ever started.
    pub scale_to: i64,
    /// Unfinished Jobs beyond the minimum.
    pub running: u32,
    /// Pending Jobs, those of the minimum included (KEDA does not take them off).
    pub pending: u32,
    /// The budget above the minimum; `None` is no limit.
    pub max_replicas: Option<u32>,
}

/// What a strategy makes of it. The smaller of the two numbers is started; either may be negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StrategyScale {
    /// KEDA's `effectiveMaxScale`.
    pub effective: i64,
    /// KEDA's `scaleTo`, which `eager` replaces.
    pub scale_to: i64,
}

impl Strategy {
    /// Selects as KEDA does: an unknown word is `Default`, and so is `custom`
    /// whose percentage is not a number, its deduction then forgotten.
    pub fn select(strategy: &str, deduction: Option<i64>, percentage: &str) -> Self {
        match strategy {
            "custom" => {
                float::parse(percentage).map_or(Self::Default, |running_percentage| Self::Custom {
                    deduction: deduction.unwrap_or(0),
                    running_percentage,
                })
            }
            "accurate" => Self::Accurate,
            "eager" => Self::Eager,
            _ => Self::Default,
        }
    }

    /// The word that selects it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Custom { .. } => "custom",
            Self::Accurate => "accurate",
            Self::Eager => "eager",
        }
    }

    /// Applies the strategy. Saturates where KEDA's integers would wrap.
    ///
    /// `custom` is held to the whole budget and not to what is free of it, and
    /// `eager` takes pending Jobs off twice: both as in KEDA.
    pub fn step(self, situation: &Situation) -> StrategyScale {
        let Situation {
            max_scale,
            scale_to,
            ..
        } = *situation;
        let running = i64::from(situation.running);
        let pending = i64::from(situation.pending);
        let max_replicas = situation.max_replicas.map_or(i64::MAX, i64::from);
        match self {
            Self::Default => StrategyScale {
                effective: max_scale.saturating_sub(running),
                scale_to,
            },
            Self::Custom {
                deduction,
                running_percentage,
            } => StrategyScale {
                effective: max_scale
                    .saturating_sub(deduction)
                    .saturating_sub(part_of(situation.running, running_percentage))
                    .min(max_replicas),
                scale_to,
            },
            Self::Accurate => {
                let passes =
                    max_scale.saturating_add(running).saturating_sub(pending) > max_replicas;
                StrategyScale {
                    effective: if passes {
                        max_replicas - running
                    } else {
                        max_scale.saturating_sub(pending)
                    },
                    scale_to,
                }
            }
            Self::Eager => StrategyScale {
                effective: (max_replicas - running - pending).min(max_scale),
                scale_to: max_replicas,
            },
        }
    }
}

/// `running × percentage`, cut towards zero. NaN is 0; infinities and what is too large saturate.
#[expect(
    clippy::cast_possible_truncation,
    reason = "cutting is KEDA's rule; Go leaves NaN and what is out of range to the processor, we saturate"
)]
pub(super) fn part_of(running: u32, percentage: f64) -> i64 {
    (f64::from(running) * percentage) as i64
}
