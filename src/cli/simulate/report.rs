//! What a simulation says: a table, a picture, JSON.

use std::fmt::Write as _;
use std::io::Write;

use serde_json::{Value, json};

use crate::plot::{Canvas, Chart, ChartAxis, ChartLine, Scale, svg};
use crate::resource::ObjectId;
use crate::scaling::Strategy;
use crate::simulate::{Arrivals, SimulatedRun, Supposition, run};

/// One trigger under every strategy.
pub(super) struct SimulatedTrigger {
    id: ObjectId,
    trigger: String,
    own: Strategy,
    supposition: Supposition,
    runs: Vec<SimulatedRun>,
}

impl SimulatedTrigger {
    pub(super) fn run(
        id: ObjectId,
        trigger: String,
        own: Strategy,
        supposition: &Supposition,
        strategies: &[Strategy],
        arrivals: &Arrivals,
    ) -> Self {
        let runs = strategies.iter();
        Self {
            id,
            trigger,
            own,
            supposition: supposition.clone(),
            runs: runs
                .map(|strategy| run(supposition, *strategy, arrivals))
                .collect(),
        }
    }

    /// Jobs and waiting work over time, a line for each strategy.
    pub(super) fn picture(&self) -> String {
        let time = || ChartAxis {
            name: "time".to_owned(),
            scale: Scale::Seconds,
        };
        let chart =
            |title: &str, name: &str, unit: &str, points: fn(&SimulatedRun) -> &[(f64, f64)]| {
                let lines = self.runs.iter().map(|run| ChartLine {
                    name: self.named(run),
                    points: points(run).to_vec(),
                });
                Chart {
                    title: format!("{title}: ScaledJob {}, {}", self.id, self.trigger),
                    across: time(),
                    up: ChartAxis {
                        name: name.to_owned(),
                        scale: Scale::Unit(unit.to_owned()),
                    },
                    lines: lines.collect(),
                }
            };
        let charts = [
            chart("Jobs over time", "unfinished", "Jobs", |run| &run.jobs),
            chart("Waiting work", "waiting", "units of work", |run| {
                &run.waiting
            }),
        ];
        let canvas = Canvas {
            background: Some("#ffffff"),
            ..Canvas::default()
        };
        svg(&charts, canvas)
    }

    fn named(&self, run: &SimulatedRun) -> String {
        let name = run.strategy.name();
        if run.strategy == self.own {
            format!("{name} (its own)")
        } else {
            name.to_owned()
        }
    }
}

/// A table for each trigger.
pub(super) fn print_text(
    simulated: &[SimulatedTrigger],
    notes: &[String],
    faults: &[String],
    out: &mut dyn Write,
) -> std::io::Result<()> {
    for fault in faults {
        writeln!(out, "{fault}")?;
    }
    for note in notes {
        writeln!(out, "note: {note}")?;
    }
    for trigger in simulated {
        let Supposition {
            polling_seconds,
            seconds,
            world,
            target,
            policy,
            ..
        } = &trigger.supposition;
        let arrived = trigger.runs.first().map_or(0, |run| run.arrived);
        writeln!(
            out,
            "ScaledJob {}, trigger {}: {arrived} units arrive in {}",
            trigger.id,
            trigger.trigger,
            duration(*seconds)
        )?;
        let takes = if world.counts_taken {
            "counts work until it is done"
        } else {
            "does not count work that a Job has taken"
        };
        writeln!(
            out,
            "supposed: a poll every {}, {target} units wanted per Job, at most {} Jobs; a Job starts after {}, takes {} and works {}; the source {takes}",
            duration(*polling_seconds),
            policy.bounds.cap(),
            duration(world.start_seconds),
            world.units_per_job,
            duration(world.job_seconds),
        )?;
        let heads = [
            "STRATEGY",
            "STARTED",
            "WASTED",
            "PEAK",
            "MEAN",
            "WAIT",
            "WAIT-95%",
            "WAIT-MAX",
            "NOT-TAKEN",
        ];
        let mut rows = vec![heads.map(str::to_owned)];
        for run in &trigger.runs {
            rows.push([
                trigger.named(run),
                run.started.to_string(),
                run.wasted.to_string(),
                run.peak.to_string(),
                format!("{:.1}", run.mean),
                duration(run.waits.mean),
                duration(run.waits.most),
                duration(run.waits.longest),
                run.left.to_string(),
            ]);
        }
        print_table(&rows, out)?;
        writeln!(out)?;
    }
    Ok(())
}

fn print_table(rows: &[[String; 9]], out: &mut dyn Write) -> std::io::Result<()> {
    let widths: [usize; 9] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0));
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            if column == 0 {
                write!(line, "{cell:<width$}").expect("a String takes any text");
            } else {
                write!(line, "  {cell:>width$}").expect("a String takes any text");
            }
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// As one object.
pub(super) fn print_json(
    simulated: &[SimulatedTrigger],
    notes: &[String],
    faults: &[String],
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let results: Vec<Value> = simulated.iter().map(to_json).collect();
    let all = json!({"results": results, "notes": notes, "faults": faults});
    serde_json::to_writer_pretty(&mut *out, &all)?;
    writeln!(out)?;
    Ok(())
}

fn to_json(trigger: &SimulatedTrigger) -> Value {
    let runs = trigger.runs.iter().map(|run| {
        json!({
            "strategy": run.strategy.name(),
            "isOwn": run.strategy == trigger.own,
            "started": run.started,
            "wasted": run.wasted,
            "peak": run.peak,
            "meanJobs": run.mean,
            "meanWaitSeconds": run.waits.mean,
            "medianWaitSeconds": run.waits.half,
            "wait95Seconds": run.waits.most,
            "longestWaitSeconds": run.waits.longest,
            "arrived": run.arrived,
            "notTaken": run.left,
        })
    });
    json!({
        "namespace": &*trigger.id.namespace,
        "name": &*trigger.id.name,
        "trigger": trigger.trigger,
        "seconds": trigger.supposition.seconds,
        "strategies": runs.collect::<Vec<_>>(),
    })
}

/// `950ms`, `12.5s`, `3m20s`, `6h0m`.
fn duration(seconds: f64) -> String {
    if seconds == 0.0 {
        return "0s".to_owned();
    }
    if seconds < 1.0 {
        return format!("{:.0}ms", seconds * 1000.0);
    }
    if seconds < 60.0 {
        let text = format!("{seconds:.1}");
        return format!("{}s", text.trim_end_matches(".0"));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "simulated times are some years at most"
    )]
    let whole = seconds.round() as u64;
    if whole < 3600 {
        return format!("{}m{}s", whole / 60, whole % 60);
    }
    format!("{}h{}m", whole / 3600, whole % 3600 / 60)
}
