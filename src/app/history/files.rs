//! The files of records in a folder: cut at a size, the oldest removed.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use tracing::warn;

use crate::history::memory::Noted;
use crate::history::segment::{HEAD, SegmentItem, SegmentReader, SegmentWriter};
use crate::history::{HistoryRecord, json};

/// How the names of the files end.
const ENDING: &str = ".history";
/// A folder's bytes are cut into so many files: so much goes at once.
const FILES: u64 = 16;
/// Bytes of one frame, with the texts that it needs: what a file may be longer than its share.
const SLACK: u64 = 8 << 10;
/// After a failure nothing is written for so long. Unit: seconds.
const PAUSE: i64 = 60;
/// Bytes of one file that is read, at most: ours are far smaller, those of others may be anything.
const LARGEST_FILE: u64 = 4 << 30;

/// The folder, and the file in it that is written.
pub struct SegmentFiles {
    folder: PathBuf,
    most: u64,
    open: Option<OpenFile>,
    /// Numbers of files begin with when this process began.
    started: Timestamp,
    number: u32,
    failed_at: Option<Timestamp>,
}

struct OpenFile {
    file: BufWriter<File>,
    writer: SegmentWriter,
    size: u64,
}

impl SegmentFiles {
    /// Opens a folder, or makes it.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn open(folder: PathBuf, most: u64, now: Timestamp) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Self {
            folder,
            most,
            open: None,
            started: now,
            number: 0,
            failed_at: None,
        })
    }

    /// The records that are there, the oldest first.
    ///
    /// # Errors
    ///
    /// The folder cannot be read.
    pub fn read(&self, each: &mut dyn FnMut(HistoryRecord)) -> io::Result<()> {
        read_folder(&self.folder, each)
    }

    /// Puts a record into the file. A failure is told, and costs the records of a minute.
    pub fn write(&mut self, noted: &Noted, now: Timestamp) {
        let is_paused = |at: Timestamp| now.as_second() - at.as_second() < PAUSE;
        if self.failed_at.is_some_and(is_paused) {
            return;
        }
        if let Err(error) = self.try_write(noted) {
            self.failed(&error, now);
        }
    }

    /// Hands what was written to the operating system: who reads the folder sees it.
    pub fn flush(&mut self, now: Timestamp) {
        if let Some(open) = &mut self.open
            && let Err(error) = open.file.flush()
        {
            self.failed(&error, now);
        }
    }

    fn failed(&mut self, error: &io::Error, now: Timestamp) {
        warn!(
            "records cannot be written to {}: {error}; trying again in {PAUSE} s",
            self.folder.display()
        );
        self.failed_at = Some(now);
        self.open = None;
    }

    fn try_write(&mut self, noted: &Noted) -> io::Result<()> {
        let share = (self.most / FILES).saturating_sub(SLACK).max(1);
        if self.open.as_ref().is_some_and(|open| open.size >= share) {
            self.open = None;
        }
        if self.open.is_none() {
            self.open = Some(self.next_file()?);
        }
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        let frames = open.writer.frames(&noted.record, noted.is_again);
        open.file.write_all(&frames)?;
        open.size += frames.len() as u64;
        Ok(())
    }

    fn next_file(&mut self) -> io::Result<OpenFile> {
        self.make_room()?;
        let (began, number) = (self.started.as_millisecond(), self.number);
        self.number += 1;
        let process = std::process::id();
        let name = format!("{began:015}-{process}-{number:06}{ENDING}");
        let file = File::create_new(self.folder.join(name))?;
        let mut file = BufWriter::new(file);
        file.write_all(HEAD)?;
        Ok(OpenFile {
            file,
            writer: SegmentWriter::default(),
            size: HEAD.len() as u64,
        })
    }

    /// Removes the oldest files, so that one more fits.
    fn make_room(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for path in listed(&self.folder)? {
            files.push((fs::metadata(&path)?.len(), path));
        }
        let mut taken: u64 = files.iter().map(|(size, _)| size).sum();
        for (size, path) in files {
            if taken + self.most / FILES <= self.most {
                break;
            }
            fs::remove_file(&path)?;
            taken -= size;
        }
        Ok(())
    }
}

/// The files of a folder, the oldest first.
fn listed(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(ENDING) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The records of a folder, the oldest file first. A folder that is not there has none.
///
/// # Errors
///
/// It cannot be read.
pub fn read_folder(folder: &Path, each: &mut dyn FnMut(HistoryRecord)) -> io::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    for path in listed(folder)? {
        let bytes = fs::read(&path)?;
        // What the process wrote last may be cut off: what is before counts.
        if let Some(reader) = SegmentReader::new(&bytes) {
            read_items(reader, each);
        }
    }
    Ok(())
}

fn read_items(reader: SegmentReader<'_>, each: &mut dyn FnMut(HistoryRecord)) {
    let mut last = std::collections::HashMap::new();
    for item in reader {
        match item {
            SegmentItem::Record(record) => {
                last.insert(record.subject.clone(), (*record).clone());
                each(*record);
            }
            SegmentItem::Again(subject, at) => {
                if let Some(record) = last.get(&subject) {
                    let again = HistoryRecord {
                        at,
                        since: at,
                        times: 1,
                        ..record.clone()
                    };
                    each(again);
                }
            }
        }
    }
}

/// What was read of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadCounts {
    /// Records.
    pub records: u64,
    /// Files that end in the middle of a record, and lines or elements that are none.
    pub damaged: u64,
}

/// Reads records as somebody hands them on: a file of a folder, all files of a folder, or what `/api/v1` and `-o json`
/// wrote, as one object, a list, or a line for each record. `-` is standard input. A repeated record comes once.
///
/// # Errors
///
/// It cannot be read, or holds no records at all.
pub fn read_any(path: &Path, each: &mut dyn FnMut(HistoryRecord)) -> io::Result<ReadCounts> {
    let mut counts = ReadCounts::default();
    if path.is_dir() {
        let files = listed(path)?;
        if files.is_empty() {
            return Err(no_records("has no file of records"));
        }
        for file in files {
            read_bytes(&fs::read(&file)?, each, &mut counts)?;
        }
        return Ok(counts);
    }
    let bytes = if path == Path::new("-") {
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(io::stdin(), LARGEST_FILE), &mut bytes)?;
        bytes
    } else {
        if fs::metadata(path)?.len() > LARGEST_FILE {
            return Err(no_records("is larger than 4 GiB"));
        }
        fs::read(path)?
    };
    read_bytes(&bytes, each, &mut counts)?;
    Ok(counts)
}

fn read_bytes(
    bytes: &[u8],
    each: &mut dyn FnMut(HistoryRecord),
    counts: &mut ReadCounts,
) -> io::Result<()> {
    if let Some(mut reader) = SegmentReader::new(bytes) {
        for item in reader.by_ref() {
            if let SegmentItem::Record(record) = item {
                counts.records += 1;
                each(*record);
            }
        }
        counts.damaged += u64::from(reader.left() > 0);
        return Ok(());
    }
    let values = serde_json::Deserializer::from_slice(bytes).into_iter::<serde_json::Value>();
    for value in values {
        let value = value.map_err(|error| {
            no_records(&format!(
                "is neither a file of records nor JSON with records: {error}"
            ))
        })?;
        let listed = match &value {
            serde_json::Value::Array(all) => Some(all),
            value => value["records"].as_array(),
        };
        for value in listed.map_or(std::slice::from_ref(&value), Vec::as_slice) {
            match json::from_json(value) {
                Some(record) => {
                    counts.records += 1;
                    each(record);
                }
                None => counts.damaged += 1,
            }
        }
    }
    if counts.records == 0 && counts.damaged > 0 {
        return Err(no_records(
            "holds JSON and no record in it: what `slipway explain -o json` or /api/v1 wrote is read",
        ));
    }
    Ok(())
}

fn no_records(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.to_owned())
}
