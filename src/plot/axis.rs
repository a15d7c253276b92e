//! One axis: from where to where, which numbers stand at it, in which unit.

/// What an axis shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChartAxis {
    /// In a word: `Jobs`, `time`.
    pub name: String,
    /// How its numbers are written.
    pub scale: Scale,
}

/// How the numbers of an axis are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scale {
    /// As they are, in this unit.
    Unit(String),
    /// They are seconds, and are written in seconds, minutes, hours or days, as fits.
    Seconds,
}

/// Steps between numbers of an axis of time. Unit: seconds.
const TIME_STEPS: [f64; 19] = [
    1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0,
    10800.0, 21600.0, 43200.0, 86400.0, 172_800.0,
];
/// Units of time, the largest first, and how many seconds each has.
const TIME_UNITS: [(&str, f64); 4] = [
    ("days", 86400.0),
    ("hours", 3600.0),
    ("minutes", 60.0),
    ("seconds", 1.0),
];

/// An axis that knows its numbers.
pub(super) struct ScaledAxis<'a> {
    axis: &'a ChartAxis,
    from: f64,
    to: f64,
    step: f64,
    /// How many of the axis' numbers one written number is.
    unit: f64,
    unit_name: &'a str,
}

impl ChartAxis {
    /// For these numbers. It begins at 0, or at the least of them if that is less.
    pub(super) fn scaled(&self, numbers: impl Iterator<Item = f64>) -> ScaledAxis<'_> {
        let finite = numbers.filter(|number| number.is_finite());
        let (least, most) = finite.fold((0.0_f64, 0.0_f64), |(least, most), number| {
            (least.min(number), most.max(number))
        });
        let span = if most > least { most - least } else { 1.0 };
        let (step, unit, unit_name) = match &self.scale {
            Scale::Unit(name) => (round_step(span / 5.0), 1.0, name.as_str()),
            Scale::Seconds => {
                let step = TIME_STEPS.into_iter().find(|step| span / step <= 8.0);
                let step = step.unwrap_or_else(|| round_step(span / 86400.0 / 5.0) * 86400.0);
                let unit = TIME_UNITS.into_iter().find(|(_, unit)| *unit <= step);
                let (name, unit) = unit.unwrap_or(("seconds", 1.0));
                (step, unit, name)
            }
        };
        // Time ends where it ends; other numbers get a whole step.
        let to = match self.scale {
            Scale::Unit(_) => ((least + span) / step - 1e-9).ceil() * step,
            Scale::Seconds => least + span,
        };
        ScaledAxis {
            axis: self,
            from: least,
            to,
            step,
            unit,
            unit_name,
        }
    }
}

impl ScaledAxis<'_> {
    /// Where a number is: 0 at the beginning, 1 at the end.
    pub(super) fn part(&self, number: f64) -> f64 {
        ((number - self.from) / (self.to - self.from)).clamp(0.0, 1.0)
    }

    /// The numbers that stand at it, as they are written.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        let mut ticks = Vec::new();
        let mut number = (self.from / self.step).ceil() * self.step;
        // A step is a sixteenth of the span at least; the bound is for numbers too large to add to.
        while number <= self.to * (1.0 + 1e-9) && ticks.len() < 20 {
            ticks.push((number, written(number / self.unit)));
            number += self.step;
        }
        ticks
    }

    /// Its name and unit.
    pub(super) fn label(&self) -> String {
        format!("{} ({})", self.axis.name, self.unit_name)
    }
}

/// 1, 2 or 5 times a power of ten, and not less than this.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    let fits = steps.into_iter().find(|step| *step >= least * (1.0 - 1e-9));
    fits.unwrap_or(10.0 * power)
}

/// A number as short as it can be said.
fn written(number: f64) -> String {
    let magnitude = number.abs();
    if magnitude >= 1e6 {
        return format!("{}M", short(number / 1e6));
    }
    if magnitude >= 1e4 {
        return format!("{}k", short(number / 1e3));
    }
    short(number)
}

fn short(number: f64) -> String {
    let text = format!("{number:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" {
        "0".to_owned()
    } else {
        text.to_owned()
    }
}
