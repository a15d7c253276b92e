//! Shows what happens while it happens: a table that redraws itself on a
//! terminal, one line for each fact otherwise.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::app::local::ObjectNews;
use crate::local::Fact;
use crate::resource::ObjectId;
use crate::shown::on_one_line;
use crate::telemetry;

use super::facts;
use super::table::{self, Snapshot};

/// Of a log, this much of its end is shown; the file has all of it.
const LONGEST_LOG: u64 = 64 * 1024;

/// Between two tables.
const REDRAW_EVERY: Duration = Duration::from_millis(250);

/// How to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Screen {
    /// A table that redraws itself, as wide and high as the terminal on standard output.
    Table,
    /// Lines.
    Lines,
    /// Lines, and what each Pod wrote.
    LinesAndLogs,
    /// One JSON object for each fact.
    Json,
}

/// Writes until `stop`, and then what is left to say.
///
/// # Errors
///
/// The output cannot be written: it was closed.
pub async fn show(
    mut happened: Receiver<Fact>,
    mut news: Receiver<ObjectNews>,
    snapshot: impl Fn() -> Snapshot,
    screen: Screen,
    out: &mut impl Write,
    stop: CancellationToken,
) -> io::Result<()> {
    match screen {
        Screen::Table => tables(&snapshot, out, &stop).await,
        Screen::Lines | Screen::LinesAndLogs | Screen::Json => {
            lines(&mut happened, &mut news, screen, out, &stop).await
        }
    }
}

async fn tables(
    snapshot: &impl Fn() -> Snapshot,
    out: &mut impl Write,
    stop: &CancellationToken,
) -> io::Result<()> {
    let mut ticks = tokio::time::interval(REDRAW_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Logs on the same terminal stand above the table, and not in it.
    let logs = telemetry::hold();
    let mut drawn = 0;
    let mut last = String::new();
    loop {
        let stopped = tokio::select! {
            () = stop.cancelled() => true,
            _ = ticks.tick() => false,
        };
        let (width, height) = size();
        // The cursor's own line stays free, or the terminal would scroll.
        let table = table::render(&snapshot(), width, height.saturating_sub(1).max(1));
        let above = logs.take();
        if table != last || !above.is_empty() {
            out.write_all(table::redraw(&table, drawn, &above).as_bytes())?;
            out.flush()?;
            drawn = table.lines().count();
            last = table;
        }
        if stopped {
            return Ok(());
        }
    }
}

async fn lines(
    happened: &mut Receiver<Fact>,
    news: &mut Receiver<ObjectNews>,
    screen: Screen,
    out: &mut impl Write,
    stop: &CancellationToken,
) -> io::Result<()> {
    loop {
        let line = tokio::select! {
            biased;
            fact = happened.recv() => fact.map(|fact| said(&fact, screen)),
            news = news.recv() => news.map(|news| match screen {
                Screen::Json => facts::news(&news).to_string(),
                _ => table::news(&news),
            }),
            () = stop.cancelled() => return Ok(()),
        };
        match line {
            Ok(line) => writeln!(out, "{line}")?,
            Err(RecvError::Lagged(missed)) => writeln!(out, "({missed} lines left out)")?,
            Err(RecvError::Closed) => return Ok(()),
        }
        out.flush()?;
    }
}

fn said(fact: &Fact, screen: Screen) -> String {
    match (screen, fact) {
        (Screen::Json, fact) => facts::fact(fact).to_string(),
        (Screen::LinesAndLogs, Fact::PodEnded { job, log, .. }) => {
            let written = written(job, log);
            format!("{written}{}", table::line(fact))
        }
        (_, fact) => table::line(fact),
    }
}

/// The end of a log, each line with the Job before it.
fn written(job: &ObjectId, log: &Path) -> String {
    let mut bytes = Vec::new();
    let read = File::open(log).and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LONGEST_LOG)))?;
        file.take(LONGEST_LOG).read_to_end(&mut bytes)
    });
    // One that is not there says nothing.
    if read.is_err() {
        return String::new();
    }
    let text = String::from_utf8_lossy(&bytes);
    text.lines().fold(String::new(), |mut all, line| {
        all.extend([&job.to_string(), " | ", &on_one_line(line), "\n"]);
        all
    })
}

/// Columns and rows of the terminal on standard output; 80 by 24 if it does not say.
fn size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
            (usize::from(size.ws_col), usize::from(size.ws_row))
        }
        _ => (80, 24),
    }
}
