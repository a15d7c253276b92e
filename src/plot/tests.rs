use super::*;

fn chart(lines: Vec<ChartLine>) -> Chart {
    Chart {
        title: "Jobs over time".into(),
        across: ChartAxis {
            name: "time".into(),
            scale: Scale::Seconds,
        },
        up: ChartAxis {
            name: "unfinished".into(),
            scale: Scale::Unit("Jobs".into()),
        },
        lines,
    }
}

fn line(name: &str, points: Vec<(f64, f64)>) -> ChartLine {
    ChartLine {
        name: name.into(),
        points,
    }
}

fn texts(svg: &str, class: &str) -> Vec<String> {
    let start = format!(r#"class="{class}""#);
    let parts = svg.split(&start).skip(1);
    let text = |part: &str| {
        let from = part.find('>').unwrap() + 1;
        part[from..part.find('<').unwrap()].to_owned()
    };
    parts.map(text).collect()
}

#[test]
fn axes_have_units_lines_have_names_and_all_is_closed() {
    let six_hours = vec![(0.0, 0.0), (10_800.0, 37.0), (21_600.0, 12.0)];
    let lines =
        ["default", "custom", "accurate", "eager"].map(|name| line(name, six_hours.clone()));
    let svg = svg(&[chart(lines.to_vec())], Canvas::default());
    assert_eq!(
        texts(&svg, "axis-label"),
        ["time (hours)", "unfinished (Jobs)"]
    );
    assert_eq!(svg.matches(r#"class="line""#).count(), 4);
    assert_eq!(svg.matches(r#"class="legend""#).count(), 4);
    assert_eq!(
        texts(&svg, "tick"),
        [
            "0", "10", "20", "30", "40", "0", "1", "2", "3", "4", "5", "6"
        ]
    );
    for tag in ["svg", "g", "text", "title", "path"] {
        let opened =
            svg.matches(&format!("<{tag} ")).count() + svg.matches(&format!("<{tag}>")).count();
        let closed = svg.matches(&format!("</{tag}>")).count();
        let empty = usize::from(tag == "path");
        assert_eq!(opened, closed + empty, "{tag}");
    }
    // Told apart without colours.
    let dashes: std::collections::BTreeSet<String> = (0..4).map(stroke).collect();
    assert_eq!(dashes.len(), 4);
}

#[test]
fn what_is_drawn_stands_where_its_numbers_say() {
    let svg = svg(
        &[chart(vec![line("a", vec![(0.0, 0.0), (60.0, 10.0)])])],
        Canvas::default(),
    );
    let bottom = 300.0 - BELOW;
    let expected = format!("M{LEFT:.1} {bottom:.1}L{:.1} {ABOVE:.1}", 860.0 - RIGHT);
    assert!(svg.contains(&expected), "{svg}");
}

#[test]
fn names_are_text_and_never_marks() {
    let svg = svg(
        &[chart(vec![line("<script>\"&\u{7}", vec![(0.0, 1.0)])])],
        Canvas::default(),
    );
    assert!(!svg.contains("<script"), "{svg}");
    assert!(svg.contains("&lt;script&gt;&quot;&amp; "));
}

#[test]
fn many_points_are_thinned_and_their_peaks_stay() {
    let mut points: Vec<(f64, f64)> = (0..100_000)
        .map(|second| (f64::from(second), 5.0))
        .collect();
    points[54_321].1 = 100.0;
    let svg = svg(&[chart(vec![line("a", points)])], Canvas::default());
    assert!(svg.len() < 60_000, "{} bytes", svg.len());
    assert!(
        svg.contains(&format!(" {ABOVE:.1}L")),
        "the peak is at the top"
    );
}

#[test]
fn numbers_of_no_size_and_of_any_size_make_a_picture() {
    for numbers in [
        vec![],
        vec![(0.0, 0.0)],
        vec![(0.0, 1e18), (1e9, 3e18)],
        vec![(0.0, 0.001), (1.0, 0.002)],
        vec![(0.0, f64::NAN), (1.0, f64::INFINITY)],
    ] {
        let svg = svg(
            &[chart(vec![line("a", numbers.clone())])],
            Canvas::default(),
        );
        let ticks = texts(&svg, "tick");
        assert!((2..=26).contains(&ticks.len()), "{numbers:?}: {ticks:?}");
        assert!(!svg.contains("inf"), "{numbers:?}: {svg}");
    }
}

#[test]
fn a_sparkline_says_what_it_is() {
    let plot = sparkline(
        &[0.0, 5.0, 2.5],
        "backlog of orders, the last hour",
        100,
        20,
    );
    assert!(plot.contains("<title>backlog of orders, the last hour</title>"));
    assert!(plot.contains("M1.0 18.0L50.0 2.0L99.0 10.0"), "{plot}");
    assert!(sparkline(&[], "nothing", 100, 20).contains(r#"d="""#));
}
