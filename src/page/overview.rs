//! The first page: what is wrong, the objects, the schedules.

use jiff::Timestamp;

use crate::page::advice::advice;
use crate::page::html::Html;
use crate::page::object::{PageKind, PageState};
use crate::page::regions::Regions;
use crate::page::rows::{
    ALL_STATES, ChosenRows, HEADS, PageRow, ROWS, RowFilter, badge, choose, link, row,
};

/// Objects that do not work are listed on top, so many at most.
const MOST_TROUBLES: usize = 20;
/// Due times that are listed.
const MOST_DUE: usize = 15;

/// Whose memory the page shows, beside what the API server has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageMemory {
    /// This process: the Pod's name, or this machine.
    pub instance: String,
    /// Since when it remembers.
    pub since: Timestamp,
    /// The state folder of a `slipway local`, where there is no other replica and no API server.
    pub state_folder: Option<String>,
    /// Whether it launches for ScaledJobs and lets waiting Jobs start.
    pub leads: bool,
    /// Objects that are not shown: more than the page remembers.
    pub left_out: usize,
    /// What keeps the process from seeing everything: a line each.
    pub troubles: Vec<String>,
}

impl PageMemory {
    /// Whether it is `slipway local`.
    pub fn is_local(&self) -> bool {
        self.state_folder.is_some()
    }

    /// The options of a command that say where it is to look.
    pub(super) fn place(&self, namespace: &str) -> String {
        match &self.state_folder {
            Some(folder) => format!("-n {namespace} --state {folder}"),
            None => format!("-n {namespace}"),
        }
    }
}

/// The parts of the page that change.
pub fn regions(rows: &[PageRow], filter: &RowFilter, memory: &PageMemory) -> Regions {
    let chosen = choose(rows, filter);
    let mut regions = Regions::default();
    regions.part("summary", summary(rows));
    regions.part("announce", announce(rows));
    regions.part("trouble", troubles(rows, memory));
    regions.part("pages", pages(&chosen, filter));
    regions.part("due", due(rows));
    regions.part("memory", memory_line(memory));
    regions.rows = chosen.rows.into_iter().map(row).collect();
    regions
}

/// The body of the page.
pub fn body(regions: &Regions, filter: &RowFilter) -> Html {
    let mut html = Html::new();
    html.markup("<h1>What Slipway does</h1>");
    html.html(&regions.get("announce"))
        .html(&regions.get("summary"));
    html.html(&regions.get("trouble"));
    html.markup("<section aria-labelledby=\"objects\"><h2 id=\"objects\">Objects</h2>");
    html.html(&form(filter));
    html.markup("<table role=\"table\" aria-labelledby=\"objects\"><thead role=\"rowgroup\">")
        .markup(HEADS);
    html.markup("</thead><tbody role=\"rowgroup\" id=\"rows\">");
    for row in &regions.rows {
        html.html(&row.html);
    }
    html.markup("</tbody></table>")
        .html(&regions.get("pages"))
        .markup("</section>");
    html.html(&regions.get("due"));
    html
}

fn number_of(rows: &[PageRow], state: PageState) -> u64 {
    let count = rows.iter().filter(|row| row.object.state == state).count();
    count as u64
}

/// `1 object is`, `2 objects are`.
fn objects_are(count: u64) -> String {
    match count {
        1 => "1 object is".to_owned(),
        _ => format!("{count} objects are"),
    }
}

/// What a screen reader says when it changes.
fn announce(rows: &[PageRow]) -> Html {
    let mut html = Html::new();
    html.markup("<p id=\"announce\" class=\"hidden\" role=\"status\">");
    let [wrong, unclear] =
        [PageState::Wrong, PageState::Unclear].map(|state| number_of(rows, state));
    html.text(&format!("{} wrong, {unclear} unclear.", objects_are(wrong)));
    html.markup("</p>");
    html
}

fn summary(rows: &[PageRow]) -> Html {
    let mut html = Html::new();
    html.markup("<dl id=\"summary\" class=\"tiles\">");
    let all = rows.len() as u64;
    let failed: u64 = rows.iter().map(PageRow::failed).sum();
    let sum = |of: &dyn Fn(&PageRow) -> Option<u64>| rows.iter().filter_map(of).sum::<u64>();
    let backlog = rows.iter().filter_map(|row| row.object.backlog);
    // A sum of nothing is -0.
    let backlog = backlog.fold(0.0, |sum, backlog| sum + backlog);
    let tile = |html: &mut Html, class: &'static str, name: &'static str, value: &str| {
        html.markup("<div class=\"tile ")
            .markup(class)
            .markup("\"><dt>")
            .markup(name);
        html.markup("</dt><dd>").text(value).markup("</dd></div>");
    };
    tile(&mut html, "", "Objects", &all.to_string());
    for (state, name, class) in [
        (PageState::Wrong, "Wrong", "wrong"),
        (PageState::Unclear, "Unclear", "unclear"),
    ] {
        let count = number_of(rows, state);
        tile(
            &mut html,
            if count > 0 { class } else { "" },
            name,
            &count.to_string(),
        );
    }
    tile(&mut html, "", "Backlog", &format!("{}", backlog.round()));
    tile(
        &mut html,
        "",
        "Jobs running",
        &sum(&PageRow::running).to_string(),
    );
    tile(
        &mut html,
        "",
        "Jobs waiting",
        &sum(&PageRow::waiting).to_string(),
    );
    let class = if failed > 0 { "wrong" } else { "" };
    tile(&mut html, class, "Failed in 20 min", &failed.to_string());
    html.markup("</dl>");
    html
}

fn troubles(rows: &[PageRow], memory: &PageMemory) -> Html {
    let mut html = Html::new();
    html.markup(
        "<section id=\"trouble\" aria-labelledby=\"wrong\"><h2 id=\"wrong\">What is wrong</h2>",
    );
    let filter = RowFilter::default();
    let chosen = choose(rows, &filter).rows;
    let troubled: Vec<_> = chosen
        .into_iter()
        .filter(|row| row.object.state.is_trouble())
        .collect();
    let all = rows
        .iter()
        .filter(|row| row.object.state.is_trouble())
        .count();
    if troubled.is_empty() && memory.troubles.is_empty() {
        html.markup(
            "<p class=\"good\">Nothing: every object that is shown here works.</p></section>",
        );
        return html;
    }
    html.markup("<ul class=\"troubles\">");
    for trouble in &memory.troubles {
        html.markup("<li>")
            .html(&badge(PageState::Unclear))
            .markup(" <strong>This process does not see everything.</strong><p>");
        html.text(trouble).markup("</p></li>");
    }
    for row in troubled.iter().take(MOST_TROUBLES) {
        let object = &row.object;
        html.markup("<li>")
            .html(&badge(object.state))
            .markup(" ")
            .html(&link(&object.key));
        html.markup(" <span class=\"kind\">")
            .text(object.key.kind.word())
            .markup("</span>");
        if !object.reason.is_empty() {
            html.markup(" <span class=\"reason\">")
                .text(&object.reason)
                .markup("</span>");
        }
        html.markup("<p>")
            .shortened(&object.words, 400)
            .markup("</p>");
        if let Some(advice) = advice(object) {
            html.markup("<p class=\"step\">")
                .text(advice.step)
                .markup(" <code>");
            html.text(if memory.is_local() {
                "slipway check FILE"
            } else {
                &advice.command
            })
            .markup("</code></p>");
        }
        html.markup("</li>");
    }
    html.markup("</ul>");
    if all > MOST_TROUBLES.min(troubled.len()) {
        html.markup("<p>And more: <a href=\"/?state=wrong\">all that are wrong</a>, <a href=\"/?state=unclear\">all that are unclear</a>.</p>");
    }
    html.markup("</section>");
    html
}

fn form(filter: &RowFilter) -> Html {
    let mut html = Html::new();
    html.markup("<form role=\"search\" method=\"get\" action=\"/\"><label>Name, namespace or source <input type=\"search\" name=\"q\" value=\"");
    html.text(&filter.text)
        .markup("\"></label><label>Kind <select name=\"kind\"><option value=\"\">all</option>");
    for kind in PageKind::ALL {
        option(&mut html, kind.word(), filter.kind == Some(kind));
    }
    html.markup(
        "</select></label><label>State <select name=\"state\"><option value=\"\">all</option>",
    );
    for state in ALL_STATES {
        option(&mut html, state.word(), filter.state == Some(state));
    }
    html.markup("</select></label><button>Show</button>");
    if !filter.is_all() {
        html.markup(" <a href=\"/\">Show all</a>");
    }
    html.markup("</form>");
    html
}

fn option(html: &mut Html, word: &str, is_chosen: bool) {
    html.markup("<option")
        .markup(if is_chosen { " selected" } else { "" })
        .markup(">");
    html.text(word).markup("</option>");
}

fn pages(chosen: &ChosenRows<'_>, filter: &RowFilter) -> Html {
    let mut html = Html::new();
    html.markup("<nav id=\"pages\" aria-label=\"Pages of objects\">");
    let (total, page) = (chosen.total, chosen.page);
    if total == 0 {
        let words = if filter.is_all() {
            "There are no objects yet."
        } else {
            "No object is like that."
        };
        html.markup("<p>").text(words).markup("</p></nav>");
        return html;
    }
    let last = (total - 1) / ROWS;
    html.markup("<p>").text(&format!(
        "{} to {} of {total}",
        page * ROWS + 1,
        page * ROWS + chosen.rows.len()
    ));
    html.markup("</p>");
    if last > 0 {
        html.markup("<ul>");
        let mut to = |page: usize, name: &str, is_here: bool| {
            html.markup("<li><a href=\"/?")
                .text(&filter.at(page).query())
                .markup("\"");
            html.markup(if is_here {
                " aria-current=\"page\""
            } else {
                ""
            })
            .markup(">");
            html.text(name).markup("</a></li>");
        };
        if page > 0 {
            to(page - 1, "Back", false);
        }
        // At most eleven: those around this one.
        for other in page.saturating_sub(5)..=last.min(page + 5) {
            to(other, &(other + 1).to_string(), other == page);
        }
        if page < last {
            to(page + 1, "Next", false);
        }
        html.markup("</ul>");
    }
    html.markup("</nav>");
    html
}

fn due(rows: &[PageRow]) -> Html {
    let mut html = Html::new();
    html.markup(
        "<section id=\"due\" aria-labelledby=\"schedules\"><h2 id=\"schedules\">Schedules</h2>",
    );
    let mut due: Vec<(Timestamp, &PageRow)> = rows
        .iter()
        .flat_map(|row| row.object.next.iter().take(5).map(move |next| (*next, row)))
        .collect();
    due.sort_by(|one, other| (one.0, &one.1.object.key).cmp(&(other.0, &other.1.object.key)));
    if due.is_empty() {
        html.markup("<p>No schedule has a due time.</p></section>");
        return html;
    }
    html.markup("<table role=\"table\" aria-labelledby=\"schedules\" class=\"narrow\"><thead role=\"rowgroup\"><tr role=\"row\"><th role=\"columnheader\" scope=\"col\">Due</th><th role=\"columnheader\" scope=\"col\">Object</th><th role=\"columnheader\" scope=\"col\">Schedule</th></tr></thead><tbody role=\"rowgroup\">");
    for (at, row) in due.iter().take(MOST_DUE) {
        html.markup("<tr role=\"row\"><td role=\"cell\" data-label=\"Due\">")
            .moment(*at);
        html.markup("</td><th role=\"rowheader\" scope=\"row\">")
            .html(&link(&row.object.key));
        html.markup("</th><td role=\"cell\" data-label=\"Schedule\">")
            .shortened(&row.object.source, 80);
        html.markup("</td></tr>");
    }
    html.markup("</tbody></table>");
    if due.len() > MOST_DUE {
        html.markup("<p>").text(&format!(
            "The nearest {MOST_DUE} of {} due times.",
            due.len()
        ));
        html.markup(" An object's page has its next five.</p>");
    }
    html.markup("</section>");
    html
}

/// What the page shows, and from where.
pub fn memory_line(memory: &PageMemory) -> Html {
    let mut html = Html::new();
    html.markup("<p id=\"memory\">");
    if memory.is_local() {
        html.markup("Objects come from the files, Jobs from the state folder.");
    } else {
        html.markup("Objects, their states and their Jobs are what the API server shows; any replica shows the same.");
    }
    html.markup(" Plots, decisions and answers are the memory of <strong>")
        .text(&memory.instance);
    html.markup("</strong>, since ")
        .moment(memory.since)
        .markup(".");
    if !memory.is_local() {
        html.markup(if memory.leads {
            " This replica leads: it launches for ScaledJobs and lets waiting Jobs start."
        } else {
            " Another replica leads: this one takes events and stands by."
        });
    }
    if memory.left_out > 0 {
        html.markup(" <strong>").number(memory.left_out as u64);
        html.markup(" more objects are not shown: the page remembers no more.</strong>");
    }
    html.markup("</p>");
    html
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::page::rows::tests::some_row;

    pub(in crate::page) fn some_memory() -> PageMemory {
        PageMemory {
            instance: "slipway-<0>".to_owned(),
            since: "2026-11-30T09:00:00Z".parse().unwrap(),
            state_folder: None,
            leads: true,
            left_out: 0,
            troubles: Vec::new(),
        }
    }

    #[test]
    fn what_is_wrong_stands_on_top_with_a_next_step() {
        let rows = [some_row("good", "True"), some_row("bad", "False")];
        let filter = RowFilter::parse("q=good");
        let regions = regions(&rows, &filter, &some_memory());
        let html = body(&regions, &filter).into_string();
        let (trouble, table) = html.split_once("id=\"rows\"").unwrap();
        assert!(
            trouble.contains("shop/</span>bad"),
            "a filter hides no trouble: {trouble}"
        );
        assert!(
            trouble.contains("kubectl -n shop describe scaledjob.slipway.dev bad"),
            "{trouble}"
        );
        assert!(
            table.contains("shop/</span>good") && !table.contains("shop/</span>bad"),
            "{table}"
        );
        assert!(html.contains("1 object is wrong, 0 unclear."), "{html}");
    }

    #[test]
    fn nothing_wrong_is_said_too() {
        let rows = [some_row("good", "True")];
        let regions = regions(&rows, &RowFilter::default(), &some_memory());
        assert!(
            regions
                .get("trouble")
                .as_str()
                .contains("Nothing: every object")
        );
        assert!(regions.get("memory").as_str().contains("slipway-&lt;0&gt;"));
    }

    #[test]
    fn a_process_that_does_not_see_everything_says_so() {
        let memory = PageMemory {
            left_out: 7,
            troubles: vec!["eventjobs.slipway.dev in shop: no right to list".to_owned()],
            ..some_memory()
        };
        let regions = regions(&[], &RowFilter::default(), &memory);
        let trouble = regions.get("trouble").into_string();
        assert!(
            trouble.contains("no right to list") && !trouble.contains("Nothing"),
            "{trouble}"
        );
        assert!(
            regions.get("memory").as_str().contains("7</strong>")
                || regions.get("memory").as_str().contains("7 more objects")
        );
    }

    #[test]
    fn a_thousand_objects_have_pages() {
        let rows: Vec<_> = (0..1000)
            .map(|index| some_row(&format!("o{index:04}"), "True"))
            .collect();
        let filter = RowFilter::parse("page=4");
        let regions = regions(&rows, &filter, &some_memory());
        assert_eq!(regions.rows.len(), ROWS);
        let pages = regions.get("pages").into_string();
        assert!(pages.contains("301 to 400 of 1000"), "{pages}");
        assert!(
            pages.contains("<a href=\"/?page=4\" aria-current=\"page\">4</a>"),
            "{pages}"
        );
        assert!(
            pages.contains("<a href=\"/?\">1</a>") && pages.contains("page=5\">Next"),
            "{pages}"
        );
    }
}
