//! What was decided and answered, from what: the last of it, within bounds.
//!
//! This room owns the record of a turn, an answer, a due time and a state of an object (`record`), its two forms outside
//! (`codec` for bytes, `json` for people's programs), what is kept in memory (`memory`), how a file of records is cut
//! (`segment`), and what this program makes of them again (`replay`). All of that is pure. `shared` is the one place with a lock: where everybody writes to and reads from.
//! Files are `app`'s. No secret, no payload and no signature is in a record: of a request there is the event's id alone.

pub use self::memory::RecordMemory;
pub use self::record::{
    AnswerOrigin, AnswerRecord, HistoryFact, HistoryRecord, MissedRecord, ObjectStanding,
    RefusedRecord, Subject, SubjectKind, TurnRecord, TurnStep, TurnTrouble, UnreadTrigger,
    WakeWord,
};
pub use self::shared::SharedHistory;

pub mod codec;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod json;
pub mod memory;
mod names;
pub mod record;
pub mod replay;
pub mod segment;
pub mod shared;

#[cfg(test)]
mod tests;
