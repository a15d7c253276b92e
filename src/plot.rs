//! Numbers as pictures: line charts and small plots as SVG text, which stands alone in a file or in a page.
//!
//! No style sheet and no script: colours are attributes, so that a strict page takes them, and text has the colour of
//! what is around it. Lines differ in dashes as well as in colour. Pure; knows nothing of what it draws.

use std::fmt::Write as _;

pub use self::axis::{ChartAxis, Scale};

mod axis;

/// A line chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// What it shows: its heading, and what a screen reader says first.
    pub title: String,
    /// From left to right.
    pub across: ChartAxis,
    /// From below to above. It begins at 0.
    pub up: ChartAxis,
    /// What is drawn, at most [`MOST_LINES`].
    pub lines: Vec<ChartLine>,
}

/// One line of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct ChartLine {
    /// Its name in the legend.
    pub name: String,
    /// Where it goes, from left to right.
    pub points: Vec<(f64, f64)>,
}

/// How large a picture is, and on what.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Canvas {
    /// Unit: pixels, where nobody scales it.
    pub width: u32,
    /// Of one chart, likewise.
    pub height: u32,
    /// A colour behind it all: for a file that may be shown on anything.
    pub background: Option<&'static str>,
}

impl Default for Canvas {
    fn default() -> Self {
        Self {
            width: 860,
            height: 300,
            background: None,
        }
    }
}

/// Lines of a chart at most: more cannot be told apart.
pub const MOST_LINES: usize = 8;
/// Colours that people with either colour blindness tell apart, each with a contrast of 3 to white and to black.
/// Source: Okabe and Ito, Color Universal Design.
const COLOURS: [&str; 4] = ["#0072b2", "#c45500", "#008a63", "#b5569a"];
const DASHES: [&str; 4] = ["", "7 3", "2 3", "9 3 2 3"];

/// Around the field of a chart: for its heading and legend, and for the numbers and names of its axes.
const LEFT: f64 = 76.0;
const RIGHT: f64 = 18.0;
const ABOVE: f64 = 52.0;
const BELOW: f64 = 48.0;

/// One or more charts, one below the other, as one picture.
pub fn svg(charts: &[Chart], canvas: Canvas) -> String {
    let Canvas { width, height, .. } = canvas;
    let count = u32::try_from(charts.len()).unwrap_or(u32::MAX);
    let whole = height.saturating_mul(count.max(1));
    let mut out = String::new();
    let titles: Vec<&str> = charts.iter().map(|chart| chart.title.as_str()).collect();
    let title = escape(&titles.join("; "));
    push(
        &mut out,
        format_args!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {whole}" width="{width}" height="{whole}" role="img" font-family="system-ui, sans-serif" font-size="12" fill="currentColor"><title>{title}</title>"#
        ),
    );
    if let Some(colour) = canvas.background {
        push(
            &mut out,
            format_args!(r#"<rect width="{width}" height="{whole}" fill="{colour}"/>"#),
        );
    }
    for (index, chart) in charts.iter().enumerate() {
        let top = f64::from(height) * count_of(index);
        push(
            &mut out,
            format_args!(r#"<g class="chart" transform="translate(0 {top})">"#),
        );
        draw(&mut out, chart, f64::from(width), f64::from(height));
        out.push_str("</g>");
    }
    out.push_str("</svg>");
    out
}

fn draw(out: &mut String, chart: &Chart, width: f64, height: f64) {
    let (right, bottom) = (width - RIGHT, height - BELOW);
    let points = || chart.lines.iter().flat_map(|line| &line.points);
    let across = chart.across.scaled(points().map(|point| point.0));
    let up = chart.up.scaled(points().map(|point| point.1));
    let x = |value: f64| LEFT + across.part(value) * (right - LEFT);
    let y = |value: f64| bottom - up.part(value) * (bottom - ABOVE);
    push(
        out,
        format_args!(
            r#"<text class="title" x="{LEFT}" y="18" font-size="14" font-weight="600">{}</text>"#,
            escape(&chart.title)
        ),
    );
    for (value, label) in up.ticks() {
        let y = y(value);
        push(
            out,
            format_args!(
                r#"<line class="grid" x1="{LEFT}" x2="{right:.1}" y1="{y:.1}" y2="{y:.1}" stroke="currentColor" stroke-opacity="0.15"/><text class="tick" x="{:.1}" y="{:.1}" text-anchor="end">{label}</text>"#,
                LEFT - 6.0,
                y + 4.0,
            ),
        );
    }
    for (value, label) in across.ticks() {
        let x = x(value);
        push(
            out,
            format_args!(
                r#"<line class="grid" x1="{x:.1}" x2="{x:.1}" y1="{bottom:.1}" y2="{:.1}" stroke="currentColor" stroke-opacity="0.6"/><text class="tick" x="{x:.1}" y="{:.1}" text-anchor="middle">{label}</text>"#,
                bottom + 4.0,
                bottom + 18.0,
            ),
        );
    }
    push(
        out,
        format_args!(
            r#"<path class="axis" d="M{LEFT} {ABOVE}V{bottom:.1}H{right:.1}" fill="none" stroke="currentColor" stroke-opacity="0.6"/><text class="axis-label" x="{:.1}" y="{:.1}" text-anchor="middle">{}</text><text class="axis-label" transform="translate(16 {:.1}) rotate(-90)" text-anchor="middle">{}</text>"#,
            f64::midpoint(LEFT, right),
            bottom + 38.0,
            escape(&across.label()),
            f64::midpoint(ABOVE, bottom),
            escape(&up.label()),
        ),
    );
    let mut legend = LEFT;
    for (index, line) in chart.lines.iter().take(MOST_LINES).enumerate() {
        let stroke = stroke(index);
        let name = escape(&line.name);
        let places = line.points.iter().map(|point| (x(point.0), y(point.1)));
        let path = path(&thinned(places));
        push(
            out,
            format_args!(
                r#"<path class="line" d="{path}" fill="none" {stroke} stroke-linejoin="round"><title>{name}</title></path><g class="legend"><line x1="{legend:.1}" x2="{:.1}" y1="36" y2="36" {stroke}/><text x="{:.1}" y="40">{name}</text></g>"#,
                legend + 26.0,
                legend + 32.0,
            ),
        );
        legend += 32.0 + 7.2 * count_of(line.name.chars().count()) + 22.0;
    }
}

/// A plot of numbers without axes, for a place beside them. `label`: what a screen reader says.
pub fn sparkline(values: &[f64], label: &str, width: u32, height: u32) -> String {
    let (across, up) = (f64::from(width), f64::from(height));
    let largest = values.iter().copied().fold(0.0, f64::max);
    let last = count_of(values.len().saturating_sub(1)).max(1.0);
    let place = |(index, value): (usize, &f64)| {
        let part = if largest > 0.0 { value / largest } else { 0.0 };
        (
            count_of(index) / last * (across - 2.0) + 1.0,
            up - 2.0 - part * (up - 4.0),
        )
    };
    let path = path(&thinned(values.iter().enumerate().map(place)));
    let stroke = stroke(0);
    format!(
        r#"<svg class="sparkline" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img"><title>{}</title><path d="{path}" fill="none" {stroke} stroke-linejoin="round"/></svg>"#,
        escape(label)
    )
}

fn stroke(index: usize) -> String {
    let colour = COLOURS[index % COLOURS.len()];
    let dashes = DASHES[(index + index / COLOURS.len()) % DASHES.len()];
    let dashes = match dashes {
        "" => String::new(),
        dashes => format!(r#" stroke-dasharray="{dashes}""#),
    };
    format!(r#"stroke="{colour}" stroke-width="2"{dashes}"#)
}

/// At most a few points for each pixel: of those that share one, the first, the lowest, the highest and the last.
fn thinned(places: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut kept: Vec<(f64, f64)> = Vec::new();
    let mut column: Vec<(f64, f64)> = Vec::new();
    let flush = |column: &mut Vec<(f64, f64)>, kept: &mut Vec<(f64, f64)>| {
        let by_height = |one: &usize, other: &usize| column[*one].1.total_cmp(&column[*other].1);
        let all = 0..column.len();
        let (lowest, highest) = (all.clone().min_by(by_height), all.max_by(by_height));
        let mut chosen: Vec<usize> = [Some(0), lowest, highest, column.len().checked_sub(1)]
            .into_iter()
            .flatten()
            .collect();
        chosen.sort_unstable();
        chosen.dedup();
        kept.extend(chosen.into_iter().filter_map(|index| column.get(index)));
        column.clear();
    };
    for place in places {
        let is_elsewhere = column
            .first()
            .is_some_and(|first| first.0.round() < place.0.round());
        if is_elsewhere {
            flush(&mut column, &mut kept);
        }
        column.push(place);
    }
    flush(&mut column, &mut kept);
    kept
}

fn path(places: &[(f64, f64)]) -> String {
    let mut path = String::with_capacity(places.len() * 12);
    for (index, (x, y)) in places.iter().enumerate() {
        let command = if index == 0 { 'M' } else { 'L' };
        push(&mut path, format_args!("{command}{x:.1} {y:.1}"));
    }
    path
}

/// Text as a picture may have it.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            letter if letter.is_control() => escaped.push(' '),
            letter => escaped.push(letter),
        }
    }
    escaped
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes any text");
}

fn count_of(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests;
