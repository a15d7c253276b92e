//! The page of one object: how it stands, what it waits for, its last decisions and its Jobs.

use serde_json::Value;

use crate::page::advice::{advice, describe, pause};
use crate::page::decision::{self, DecisionLine};
use crate::page::html::Html;
use crate::page::job::{JobLine, NewestJobs, PageJobState};
use crate::page::object::{PageKind, PageObject, PageState};
use crate::page::overview::{PageMemory, memory_line};
use crate::page::plot::{PlotSize, Series};
use crate::page::regions::Regions;
use crate::page::rows::{PageRow, amount, badge, count};
use crate::page::timeline::{action_form, span};

/// Texts of a status are shown no longer.
const LETTERS: usize = 1_000;

/// What is known of one object.
#[derive(Debug)]
pub struct ObjectView<'a> {
    /// The object, with what is remembered of it.
    pub row: &'a PageRow,
    /// Its Jobs; `None` when they have not been seen.
    pub jobs: Option<&'a NewestJobs>,
    /// The last decisions or answers, the newest first: this process's.
    pub decisions: &'a [DecisionLine],
    /// Whose memory it is.
    pub memory: &'a PageMemory,
    /// Whether `--admin-write` is on.
    pub may_write: bool,
}

/// The parts of the page that change.
pub fn regions(view: &ObjectView<'_>) -> Regions {
    let object = &view.row.object;
    let written = object.written.value();
    let mut regions = Regions::default();
    regions.part("standing", standing(view));
    regions.part("numbers", numbers(view));
    regions.part("plots", plots(view));
    regions.part("waits", waits(object, &written));
    regions.part("decisions", decisions(view, &written));
    regions.part("next", next(object, &written));
    regions.part("jobs", jobs(view));
    regions.part("conditions", conditions(&written["status"]));
    regions.part("memory", memory_line(view.memory));
    regions
}

/// The body of the page.
pub fn body(regions: &Regions, view: &ObjectView<'_>) -> Html {
    let object = &view.row.object;
    let mut html = Html::new();
    html.markup("<h1><span class=\"kind\">")
        .text(object.key.kind.word())
        .markup("</span>");
    html.text(&object.key.id.to_string()).markup("</h1>");
    for part in [
        "standing",
        "numbers",
        "waits",
        "decisions",
        "next",
        "plots",
        "jobs",
        "conditions",
    ] {
        html.html(&regions.get(part));
    }
    html.html(&commands(view));
    html
}

fn standing(view: &ObjectView<'_>) -> Html {
    let object = &view.row.object;
    let mut html = Html::new();
    html.markup("<div id=\"standing\"><p>")
        .html(&badge(object.state));
    if !object.reason.is_empty() {
        html.markup(" <span class=\"reason\">")
            .text(&object.reason)
            .markup("</span>");
    }
    html.markup(" ")
        .shortened(&object.words, LETTERS)
        .markup("</p>");
    if let Some(advice) = advice(object) {
        html.markup("<p class=\"step\">")
            .text(advice.step)
            .markup("</p>");
    }
    html.markup("</div>");
    html
}

fn numbers(view: &ObjectView<'_>) -> Html {
    let (row, object) = (view.row, &view.row.object);
    let mut html = Html::new();
    html.markup("<dl id=\"numbers\" class=\"tiles\">");
    let tile = |html: &mut Html, name: &'static str, value: &Html| {
        html.markup("<div class=\"tile\"><dt>")
            .markup(name)
            .markup("</dt><dd>");
        html.html(value).markup("</dd></div>");
    };
    if matches!(
        object.key.kind,
        PageKind::ScaledJob | PageKind::KedaScaledJob
    ) {
        tile(&mut html, "Backlog", &amount(object.backlog));
    }
    tile(&mut html, "Jobs running", &count(row.running()));
    if let Some(cap) = object.cap {
        tile(&mut html, "At most", &count(Some(cap)));
    }
    if let Some(waiting) = row.waiting() {
        tile(&mut html, "Jobs waiting", &count(Some(waiting)));
    }
    tile(&mut html, "Failed in 20 min", &count(Some(row.failed())));
    html.markup("</dl>");
    html
}

fn plots(view: &ObjectView<'_>) -> Html {
    let plots = &view.row.plots;
    let mut html = Html::new();
    html.markup("<section id=\"plots\" aria-labelledby=\"over-time\"><h2 id=\"over-time\">The last 20 minutes</h2>");
    let drawn: Vec<(&str, &Series, Html)> = [
        ("Backlog", &plots.backlog),
        ("Jobs running", &plots.running),
        ("Jobs waiting", &plots.waiting),
        ("Jobs launched", &plots.launched),
        ("Jobs failed", &plots.failed),
    ]
    .into_iter()
    .map(|(name, series)| (name, series, series.svg(name, PlotSize::Large)))
    .filter(|(_, _, svg)| !svg.as_str().is_empty())
    .collect();
    if drawn.is_empty() {
        html.markup("<p>Nothing but zero was seen.</p></section>");
        return html;
    }
    html.markup("<div class=\"plots\">");
    for (name, series, svg) in drawn {
        html.markup(if name == "Jobs failed" {
            "<figure class=\"failed\">"
        } else {
            "<figure>"
        });
        html.html(&svg).markup("<figcaption>").text(name);
        let greatest = series.greatest().unwrap_or_default();
        html.text(&format!(", at most {}", (greatest * 10.0).round() / 10.0));
        html.markup("</figcaption></figure>");
    }
    html.markup("</div></section>");
    html
}

/// What it waits for, in words.
fn waits(object: &PageObject, written: &Value) -> Html {
    let mut html = Html::new();
    html.markup("<section id=\"waits\" aria-labelledby=\"waits-for\"><h2 id=\"waits-for\">What it waits for</h2><ul>");
    let (spec, status) = (&written["spec"], &written["status"]);
    let mut line = |text: &str| {
        html.markup("<li>").shortened(text, LETTERS).markup("</li>");
    };
    if object.state == PageState::Paused {
        line("Somebody paused it. It waits for being resumed; the command stands below.");
    }
    match object.key.kind {
        PageKind::ScaledJob | PageKind::KedaScaledJob => {
            let interval = spec["pollingInterval"].as_u64().unwrap_or(30);
            line(&format!(
                "The next look at its sources ({}): {interval} s after the last one, or at once when a source pushes.",
                object.source
            ));
            let held = status["lastDecision"]["heldBack"]
                .as_u64()
                .unwrap_or_default();
            if held > 0 {
                let cap = object.cap.unwrap_or_default();
                line(&format!(
                    "Jobs to end: the limit of {cap} unfinished Jobs kept {held} back. They start as others end."
                ));
            }
        }
        PageKind::EventJob | PageKind::CronJob => {
            if let Some(waiting) = object.waiting.filter(|waiting| *waiting > 0) {
                let policy = spec["concurrencyPolicy"].as_str().unwrap_or("Allow");
                let limit = object.cap.unwrap_or(1);
                line(&format!(
                    "A turn for {waiting} Jobs: policy {policy} lets {limit} run at once for each key."
                ));
            }
            if let Some(at) = object.next.first() {
                line(&format!("The next due time, {at:.0}."));
            }
            if let Some(url) = status["url"]
                .as_str()
                .filter(|_| !spec["source"]["webhook"].is_null())
            {
                line(&format!("Events at {url}."));
            }
        }
    }
    html.markup("</ul></section>");
    html
}

fn decisions(view: &ObjectView<'_>, written: &Value) -> Html {
    let mut html = Html::new();
    html.markup("<section id=\"decisions\" aria-labelledby=\"last-decisions\"><h2 id=\"last-decisions\">Last decisions</h2>");
    if view.decisions.is_empty() {
        let decision = &written["status"]["lastDecision"];
        match (view.row.object.decided_at, decision["reason"].as_str()) {
            (Some(at), Some(reason)) => {
                html.markup("<p>")
                    .moment(at)
                    .markup(" ")
                    .shortened(reason, LETTERS)
                    .markup("</p>");
                html.markup("<p class=\"step\">This is the status of the object. No decision since this process started.</p>");
            }
            _ => {
                html.markup("<p>None yet.</p>");
            }
        }
        html.markup("</section>");
        return html;
    }
    html.html(&decision::list(view.decisions, false))
        .markup("</section>");
    html
}

fn next(object: &PageObject, written: &Value) -> Html {
    let mut html = Html::new();
    html.markup("<div id=\"next\">");
    let missed = written["status"]["schedule"]["missed"].as_array();
    let missed = missed.map(Vec::as_slice).unwrap_or_default();
    if object.is_scheduled() || !missed.is_empty() {
        html.markup("<h2>Schedule</h2><p>")
            .shortened(&object.source, 200)
            .markup("</p>");
    }
    if object.is_scheduled() {
        html.markup("<h3>Next</h3><ol>");
        for at in object.next.iter().take(5) {
            html.markup("<li>").moment(*at).markup("</li>");
        }
        html.markup("</ol>");
    }
    if !missed.is_empty() {
        html.markup("<h3>Without a Job</h3><ul>");
        for missed in missed.iter().take(10) {
            let text = |field: &str| missed[field].as_str().unwrap_or_default();
            html.markup("<li>");
            if let Ok(at) = text("time").parse() {
                html.moment(at);
            }
            html.markup(" <span class=\"reason\">")
                .text(text("reason"))
                .markup("</span> ");
            html.shortened(text("message"), 300);
            if let Some(more) = missed["count"].as_u64().filter(|count| *count > 1) {
                html.text(&format!(" ({more} due times)"));
            }
            html.markup("</li>");
        }
        html.markup("</ul>");
    }
    html.markup("</div>");
    html
}

fn jobs(view: &ObjectView<'_>) -> Html {
    let mut html = Html::new();
    html.markup("<section id=\"jobs\" aria-labelledby=\"its-jobs\"><h2 id=\"its-jobs\">Jobs</h2>");
    let Some(jobs) = view.jobs else {
        html.markup("<p>They have not been seen yet.</p></section>");
        return html;
    };
    if jobs.lines.is_empty() {
        html.markup("<p>There are none. Finished ones are removed by their limits.</p></section>");
        return html;
    }
    html.markup("<table role=\"table\" aria-labelledby=\"its-jobs\"><thead role=\"rowgroup\"><tr role=\"row\"><th role=\"columnheader\" scope=\"col\">Job</th><th role=\"columnheader\" scope=\"col\">State</th><th role=\"columnheader\" scope=\"col\">Made</th><th role=\"columnheader\" scope=\"col\">Took</th><th role=\"columnheader\" scope=\"col\">Reason</th></tr></thead><tbody role=\"rowgroup\">");
    for job in &jobs.lines {
        job_row(&mut html, &view.row.object.key.id.namespace, job);
    }
    html.markup("</tbody></table>");
    if jobs.total > jobs.lines.len() {
        html.markup("<p>")
            .text(&format!(
                "The newest {} of {}.",
                jobs.lines.len(),
                jobs.total
            ))
            .markup("</p>");
    }
    html.markup("</section>");
    html
}

fn job_row(html: &mut Html, namespace: &str, job: &JobLine) {
    html.markup("<tr role=\"row\"><th role=\"rowheader\" scope=\"row\">")
        .html(&job_link(namespace, &job.name));
    html.markup("</th><td role=\"cell\" data-label=\"State\"><span class=\"badge ")
        .text(job.state.word());
    html.markup("\">")
        .text(job.state.word())
        .markup("</span></td><td role=\"cell\" data-label=\"Made\">");
    if let Some(at) = job.created_at {
        html.moment(at);
    }
    html.markup("</td><td role=\"cell\" data-label=\"Took\">");
    match (job.created_at, job.ended_at) {
        (Some(from), Some(to)) => html.text(&span(from, to)),
        _ => html.markup("<span class=\"none\">–</span>"),
    };
    html.markup("</td><td role=\"cell\" data-label=\"Reason\">");
    let is_plain = job.state == PageJobState::Complete;
    html.text(if is_plain { "" } else { &job.reason })
        .markup("</td></tr>");
}

/// A link to a Job's page.
pub fn job_link(namespace: &str, name: &str) -> Html {
    let mut html = Html::new();
    html.markup("<a href=\"/jobs/")
        .part(namespace)
        .markup("/")
        .part(name)
        .markup("\">");
    html.text(name).markup("</a>");
    html
}

fn conditions(status: &Value) -> Html {
    let mut html = Html::new();
    html.markup("<section id=\"conditions\" aria-labelledby=\"its-conditions\"><h2 id=\"its-conditions\">Conditions</h2>");
    let conditions = status["conditions"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    if conditions.is_empty() {
        html.markup("<p>None: its status is empty.</p></section>");
        return html;
    }
    html.markup("<dl class=\"facts\">");
    for condition in conditions.iter().take(10) {
        let text = |field: &str| condition[field].as_str().unwrap_or_default();
        html.markup("<dt>")
            .text(text("type"))
            .markup(" ")
            .text(text("status"))
            .markup("</dt><dd><span class=\"reason\">");
        html.text(text("reason"))
            .markup("</span> ")
            .shortened(text("message"), LETTERS);
        if let Ok(since) = text("lastTransitionTime").parse() {
            html.markup(" since ").moment(since);
        }
        html.markup("</dd>");
    }
    let refusal = &status["lastRefusal"];
    if refusal.is_object() {
        let text = |field: &str| refusal[field].as_str().unwrap_or_default();
        html.markup("<dt>Last refusal</dt><dd><span class=\"reason\">")
            .text(text("reason"))
            .markup("</span> ");
        html.shortened(&format!("{}: {}", text("field"), text("message")), LETTERS);
        if let Ok(at) = text("time").parse() {
            html.markup(" ").moment(at);
        }
        html.markup("</dd>");
    }
    html.markup("</dl></section>");
    html
}

fn commands(view: &ObjectView<'_>) -> Html {
    let object = &view.row.object;
    let mut html = Html::new();
    html.markup("<section aria-labelledby=\"commands\"><h2 id=\"commands\">Commands</h2><dl class=\"facts\">");
    let id = &object.key.id;
    let verb = |html: &mut Html, name: &'static str, command: &str| {
        html.markup("<dt>")
            .markup(name)
            .markup("</dt><dd><code>")
            .text(command)
            .markup("</code></dd>");
    };
    if !view.memory.is_local() {
        verb(
            &mut html,
            "Show it, with its Kubernetes Events",
            &describe(object),
        );
        verb(
            &mut html,
            if object.state == PageState::Paused {
                "Resume it"
            } else {
                "Pause it"
            },
            &pause(object),
        );
    }
    let place = view.memory.place(&id.namespace);
    let kind = match object.key.kind {
        PageKind::ScaledJob | PageKind::KedaScaledJob => Some("scaledjob"),
        PageKind::CronJob => Some("cronjob"),
        PageKind::EventJob if object.source.starts_with("schedule") => Some("eventjob"),
        PageKind::EventJob => None,
    };
    if let Some(kind) = kind {
        verb(
            &mut html,
            "Make a Job of it now",
            &format!("slipway trigger {kind}/{} {place}", id.name),
        );
    }
    verb(&mut html, "Its Jobs", &format!("slipway jobs {place}"));
    html.markup("</dl>");
    if view.may_write && kind == Some("eventjob") {
        let action = serde_json::json!({
            "action": "trigger", "kind": object.key.kind.word(), "namespace": *id.namespace, "name": *id.name,
        });
        html.html(&action_form(&action, "Run it now"));
    }
    html.markup("</section>");
    html
}

#[cfg(test)]
mod tests;
