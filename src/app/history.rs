//! Records beyond the memory: a folder of files, written behind the work and never in its way.
//!
//! A record goes into a bounded line of waiting ones. What does not fit is left out of the files and counted; nothing
//! that is decided or answered waits for a disk.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use tokio::sync::Notify;
use tracing::warn;

use self::files::SegmentFiles;
use crate::history::memory::Noted;
use crate::history::{RecordMemory, SharedHistory, SubjectKind};

pub mod files;

/// The folder of records in a state folder of `slipway local`. No namespace begins with a dot.
pub const LOCAL_FOLDER: &str = ".history";
/// Records that wait to be written, some 500 bytes each. A burst of events is half a second of them.
const WAITING_RECORDS: usize = 4_096;
/// Bytes of files in the folder of `--history`.
pub const MOST_ON_DISK: u64 = 64 << 20;
/// Bytes of files in a state folder of `slipway local`.
pub const MOST_LOCAL: u64 = 16 << 20;

/// The records of this process, and what writes them down, if somebody wants that.
pub struct KeptHistory {
    /// Where everybody writes to and reads from.
    pub shared: Arc<SharedHistory>,
    writer: Option<Arc<HistoryWriter>>,
}

/// Writes records down.
pub struct HistoryWriter {
    waiting: Mutex<Receiver<Noted>>,
    files: Mutex<SegmentFiles>,
    woken: Arc<Notify>,
    lost: Arc<AtomicU64>,
}

impl KeptHistory {
    /// In memory, and in a folder where one is named.
    ///
    /// # Errors
    ///
    /// The folder cannot be made or read.
    pub fn of(folder: Option<&Path>, memory: usize, most_on_disk: u64) -> anyhow::Result<Self> {
        match folder {
            Some(folder) => Self::in_folder(folder.to_owned(), memory, most_on_disk),
            None => Ok(Self::in_memory(memory)),
        }
    }

    /// In memory alone, of at most `memory` bytes.
    pub fn in_memory(memory: usize) -> Self {
        Self {
            shared: Arc::new(SharedHistory::new(memory, None)),
            writer: None,
        }
    }

    /// In memory and in a folder, of at most `most_on_disk` bytes. What is in the folder is read first.
    ///
    /// # Errors
    ///
    /// The folder cannot be made or read.
    pub fn in_folder(folder: PathBuf, memory: usize, most_on_disk: u64) -> anyhow::Result<Self> {
        let shown = folder.display().to_string();
        let files = SegmentFiles::open(folder, most_on_disk, super::clock())
            .with_context(|| format!("the folder of records {shown} cannot be used"))?;
        let (sender, waiting) = sync_channel(WAITING_RECORDS);
        let (woken, lost) = (Arc::new(Notify::new()), Arc::new(AtomicU64::new(0)));
        let onward = onward(sender, woken.clone(), lost.clone());
        let shared = Arc::new(SharedHistory::new(memory, Some(Box::new(onward))));
        files
            .read(&mut |record| shared.restore(record))
            .with_context(|| format!("the records in {shown} cannot be read"))?;
        let writer = HistoryWriter {
            waiting: Mutex::new(waiting),
            files: Mutex::new(files),
            woken,
            lost,
        };
        Ok(Self {
            shared,
            writer: Some(Arc::new(writer)),
        })
    }

    /// Writes down what comes, for as long as the process runs.
    pub(super) async fn write(writer: Option<Arc<HistoryWriter>>) -> anyhow::Result<()> {
        let Some(writer) = writer else {
            return std::future::pending().await;
        };
        loop {
            writer.woken.notified().await;
            let writer = writer.clone();
            tokio::task::spawn_blocking(move || writer.drain()).await?;
        }
    }

    /// What writes it down, for a task.
    pub(super) fn writer(&self) -> Option<Arc<HistoryWriter>> {
        self.writer.clone()
    }

    /// Writes down what is left, at the end.
    pub(super) fn close(&self) {
        if let Some(writer) = &self.writer {
            writer.drain();
        }
    }
}

fn onward(
    sender: SyncSender<Noted>,
    woken: Arc<Notify>,
    lost: Arc<AtomicU64>,
) -> impl Fn(Noted) + Send + Sync {
    move |noted| {
        // Strangers cause these, as many as they like: 1, 2, 4, 8, … of each cause are written.
        let record = &noted.record;
        let is_refused = matches!(record.fact, crate::history::HistoryFact::Refused(_));
        if is_refused
            && record.subject.kind == SubjectKind::EventJob
            && !record.times.is_power_of_two()
        {
            return;
        }
        if sender.try_send(noted).is_err() {
            lost.fetch_add(1, Ordering::Relaxed);
        }
        woken.notify_one();
    }
}

impl HistoryWriter {
    fn drain(&self) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let mut count = 0;
        while let Ok(noted) = waiting.try_recv() {
            files.write(&noted, super::clock());
            count += 1;
        }
        if count > 0 {
            files.flush(super::clock());
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            warn!(
                lost,
                "{lost} records were not written: they came faster than the disk takes them"
            );
        }
    }
}

/// The records of a folder as a memory of their own, for those who only read.
///
/// # Errors
///
/// It cannot be read.
pub fn memory_of(folder: &Path) -> std::io::Result<RecordMemory> {
    // More than a folder holds: nothing that was written is left out for its bytes.
    let mut memory = RecordMemory::new(usize::MAX);
    files::read_folder(folder, &mut |record| {
        memory.push(record);
    })?;
    Ok(memory)
}
