//! Whether the API server takes an object's Jobs at all: a dry run, once for each generation and version of this program.
//!
//! Asked beside the turns, so that an owner hears of a bad template before there is work. A turn launches all the same:
//! what a dry run says binds nobody.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::controller::proof::{again_after, is_proved};
use crate::controller::status::TemplateVerdict;
use crate::controller::{Desired, Identity};
use crate::launch::{self, Launcher};
use crate::resource::ScaledJob;

/// A template that was refused, or of which nothing is known, is asked about again after this.
const ASKED_AGAIN_AFTER: Duration = Duration::from_mins(1);
/// A turn waits no longer for the answer.
const LONGEST_ASK: Duration = Duration::from_secs(5);

/// What is known of the template of one generation.
#[derive(Debug, Default)]
pub(super) struct TemplateProof {
    generation: Option<i64>,
    verdict: TemplateVerdict,
    /// When to ask; never again once it is proved.
    due: Option<Instant>,
}

impl TemplateProof {
    /// What is known of this version's template. Asks if that is due.
    pub(super) async fn ask(
        &mut self,
        desired: &Desired,
        scaled_job: &ScaledJob,
        objects: usize,
        launcher: &dyn Launcher,
    ) -> TemplateVerdict {
        self.begin(&desired.identity, objects);
        if self.due.is_some_and(|due| due <= Instant::now()) {
            let answer = timeout(LONGEST_ASK, launcher.prove(scaled_job)).await;
            self.due = Some(Instant::now() + ASKED_AGAIN_AFTER);
            match answer {
                Ok(Ok(())) => {
                    self.verdict = TemplateVerdict::Proved;
                    self.due = None;
                }
                Ok(Err(error @ launch::Error::Rejected { .. })) => {
                    self.verdict = TemplateVerdict::Refused(error.to_string());
                }
                // A passing trouble says nothing of the template.
                Ok(Err(_)) | Err(_) => {}
            }
        }
        self.verdict.clone()
    }

    /// A generation that was not asked about yet is due now, or later where the status says that it is proved.
    fn begin(&mut self, identity: &Identity, objects: usize) {
        let before = self.generation.replace(identity.generation);
        if before == Some(identity.generation) {
            return;
        }
        let is_proved = is_proved(&identity.status.value(), identity.generation);
        (self.verdict, self.due) = if is_proved {
            let later = again_after(&identity.uid, objects);
            (TemplateVerdict::Proved, Some(Instant::now() + later))
        } else {
            (TemplateVerdict::Unknown, Some(Instant::now()))
        };
    }
}
