//! Small plots of what a process remembers: numbers at even distances, as SVG.

use crate::page::html::Html;

/// Between two samples. Unit: seconds.
pub const SAMPLE_SECONDS: i64 = 10;
/// Samples that are kept: twenty minutes.
pub const SAMPLES: usize = 120;

/// Numbers at even distances, the newest last. What was not known is no number.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    /// Empty, or [`SAMPLES`] of them: f32, because there are thousands of series.
    values: Vec<f32>,
}

/// What is plotted of one object.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plots {
    /// Units of work waiting.
    pub backlog: Series,
    /// Jobs that run, or are about to.
    pub running: Series,
    /// Jobs that wait for their turn.
    pub waiting: Series,
    /// Jobs that were made between a sample and the one before it.
    pub launched: Series,
    /// Jobs that failed between a sample and the one before it.
    pub failed: Series,
}

/// How a plot is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlotSize {
    /// In a cell of a table.
    Small,
    /// With its greatest number and its span.
    Large,
}

impl Series {
    /// Adds the newest number; the oldest goes.
    pub fn push(&mut self, value: Option<f64>) {
        if self.values.is_empty() {
            if value.is_none() {
                return;
            }
            self.values = vec![f32::NAN; SAMPLES];
        }
        self.values.rotate_left(1);
        #[expect(clippy::cast_possible_truncation, reason = "a plot of some pixels")]
        let value = value.map_or(f32::NAN, |value| value as f32);
        if let Some(last) = self.values.last_mut() {
            *last = value;
        }
    }

    /// Replaces the number that is `back` samples before the newest by a greater one.
    pub fn raise(&mut self, back: usize, value: f64) {
        if value <= 0.0 {
            return;
        }
        if self.values.is_empty() {
            self.values = vec![0.0; SAMPLES];
        }
        #[expect(clippy::cast_possible_truncation, reason = "a plot of some pixels")]
        let value = value as f32;
        let place = SAMPLES.checked_sub(1 + back);
        if let Some(place) = place.and_then(|place| self.values.get_mut(place)) {
            *place = place.max(value);
        }
    }

    /// The numbers, the newest last; `None` where none was known.
    pub fn values(&self) -> impl Iterator<Item = Option<f64>> {
        let values = self.values.iter();
        values.map(|value| value.is_finite().then_some(f64::from(*value)))
    }

    /// The greatest; `None` when none is known.
    pub fn greatest(&self) -> Option<f64> {
        self.values().flatten().reduce(f64::max)
    }

    /// All of them together.
    pub fn sum(&self) -> f64 {
        self.values().flatten().sum()
    }

    /// Draws it. `what` is what it shows, in words for those who do not see it. Nothing, when nothing but zero is known.
    pub fn svg(&self, what: &str, size: PlotSize) -> Html {
        let mut html = Html::new();
        let Some(greatest) = self.greatest().filter(|greatest| *greatest > 0.0) else {
            return html;
        };
        let (width, height) = match size {
            PlotSize::Small => {
                html.markup("<svg class=\"plot\" viewBox=\"0 0 120 24\" width=\"120\" height=\"24\" role=\"img\" aria-label=\"");
                (120.0, 24.0)
            }
            PlotSize::Large => {
                html.markup(
                    "<svg class=\"plot large\" viewBox=\"0 0 480 96\" role=\"img\" aria-label=\"",
                );
                (480.0, 96.0)
            }
        };
        html.text(&self.words(what)).markup("\">");
        let mut line = Vec::new();
        let lines = |line: &mut Vec<(f64, f64)>, html: &mut Html| {
            draw(line, height, html);
            line.clear();
        };
        for (index, value) in (0_u32..).zip(self.values()) {
            let Some(value) = value else {
                lines(&mut line, &mut html);
                continue;
            };
            let x = f64::from(index) * (width - 2.0) / 119.0 + 1.0;
            line.push((x, height - 1.0 - value / greatest * (height - 2.0)));
        }
        lines(&mut line, &mut html);
        html.markup("</svg>");
        html
    }

    /// What the plot shows, in words.
    fn words(&self, what: &str) -> String {
        let shown = |number: f64| format!("{}", (number * 10.0).round() / 10.0);
        let known: Vec<f64> = self.values().flatten().collect();
        let (Some(first), Some(last), Some(greatest)) =
            (known.first(), known.last(), self.greatest())
        else {
            return what.to_owned();
        };
        format!(
            "{what}, the last 20 minutes: from {} to {}, at most {}",
            shown(*first),
            shown(*last),
            shown(greatest)
        )
    }
}

/// A line, and the area below it.
fn draw(points: &[(f64, f64)], height: f64, html: &mut Html) {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return;
    };
    let each = |html: &mut Html| {
        for (x, y) in points {
            html.coordinate(*x).markup(",").coordinate(*y).markup(" ");
        }
    };
    html.markup("<polygon points=\"");
    html.coordinate(first.0)
        .markup(",")
        .coordinate(height)
        .markup(" ");
    each(html);
    html.coordinate(last.0).markup(",").coordinate(height);
    html.markup("\"/><polyline points=\"");
    each(html);
    html.markup("\"/>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_keeps_the_newest_numbers() {
        let mut series = Series::default();
        series.push(None);
        assert_eq!(
            series.values().count(),
            0,
            "nothing is kept of what was never known"
        );
        for number in 0..200_u32 {
            series.push(Some(f64::from(number)));
        }
        assert_eq!(series.values().count(), SAMPLES);
        assert_eq!(series.values().last(), Some(Some(199.0)));
        assert_eq!(series.greatest(), Some(199.0));
        series.push(None);
        assert_eq!(series.values().last(), Some(None));
    }

    #[test]
    fn a_number_of_before_is_raised_and_never_lowered() {
        let mut series = Series::default();
        series.raise(0, 0.0);
        assert_eq!(series, Series::default());
        series.raise(3, 2.0);
        series.raise(3, 1.0);
        series.raise(SAMPLES, 9.0);
        assert!((series.sum() - 2.0).abs() < 0.1);
        assert_eq!(series.values().nth(SAMPLES - 4), Some(Some(2.0)));
    }

    #[test]
    fn a_plot_says_what_it_shows_and_breaks_where_nothing_was_known() {
        let mut series = Series::default();
        for value in [Some(1.0), Some(4.0), None, Some(2.0), Some(3.0)] {
            series.push(value);
        }
        let svg = series
            .svg("Backlog of \"x\"", PlotSize::Small)
            .into_string();
        let label =
            "aria-label=\"Backlog of &quot;x&quot;, the last 20 minutes: from 1 to 3, at most 4\"";
        assert!(svg.contains(label), "{svg}");
        assert_eq!(svg.matches("<polyline").count(), 2, "{svg}");
        assert!(!svg.contains("style") && !svg.contains("NaN"), "{svg}");
        let mut zero = Series::default();
        zero.push(Some(0.0));
        assert_eq!(zero.svg("x", PlotSize::Small).as_str(), "");
    }
}
