//! The table of objects: which are shown, in which order, and a row of it.

use std::sync::Arc;

use crate::page::html::{Html, decoded, encoded};
use crate::page::job::JobTally;
use crate::page::object::{PageKey, PageKind, PageObject, PageState};
use crate::page::plot::{PlotSize, Plots};
use crate::page::regions::Region;

/// Rows of one page of the table.
pub const ROWS: usize = 100;
/// A filter is no longer.
const LONGEST_FILTER: usize = 100;
/// Letters of a reason that a row has.
const LETTERS: usize = 160;

/// An object with what is remembered of it.
#[derive(Debug, Clone)]
pub struct PageRow {
    /// What its spec and status say.
    pub object: Arc<PageObject>,
    /// What its Jobs come to; `None` when they have not been seen.
    pub tally: Option<Arc<JobTally>>,
    /// Its plots.
    pub plots: Arc<Plots>,
}

impl PageRow {
    /// Jobs that run, or are about to: as they are seen, else as the status has them.
    pub fn running(&self) -> Option<u64> {
        let seen = self.tally.as_ref().map(|tally| tally.running);
        seen.or(self.object.running)
    }

    /// Jobs that wait for their turn.
    pub fn waiting(&self) -> Option<u64> {
        let seen = self.tally.as_ref().map(|tally| tally.waiting);
        let may_wait = matches!(self.object.key.kind, PageKind::EventJob | PageKind::CronJob);
        seen.filter(|_| may_wait).or(self.object.waiting)
    }

    /// Jobs that failed in the last twenty minutes.
    pub fn failed(&self) -> u64 {
        let failed = self.plots.failed.sum();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a sum of whole numbers above zero, of which there are few"
        )]
        {
            failed as u64
        }
    }
}

/// Which rows somebody asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowFilter {
    /// What the namespace, name, kind or source has, in whatever case.
    pub text: String,
    /// One kind only.
    pub kind: Option<PageKind>,
    /// One state only.
    pub state: Option<PageState>,
    /// Which page, from 0.
    pub page: usize,
}

impl RowFilter {
    /// What the query of an address asks for; what it does not understand it leaves out.
    pub fn parse(query: &str) -> Self {
        let mut filter = Self::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(value) = decoded(value, true) else {
                continue;
            };
            match name {
                "q" => filter.text = value.trim().chars().take(LONGEST_FILTER).collect(),
                "kind" => filter.kind = PageKind::parse(&value),
                "state" => filter.state = state(&value),
                // Pages count from 1 for people.
                "page" => filter.page = value.parse::<usize>().unwrap_or(1).saturating_sub(1),
                _ => {}
            }
        }
        filter
    }

    /// The query that asks for it.
    pub fn query(&self) -> String {
        let mut parts = Vec::new();
        if !self.text.is_empty() {
            parts.push(format!("q={}", encoded(&self.text)));
        }
        parts.extend(
            self.kind
                .map(|kind| format!("kind={}", encoded(kind.word()))),
        );
        parts.extend(self.state.map(|state| format!("state={}", state.word())));
        if self.page > 0 {
            parts.push(format!("page={}", self.page + 1));
        }
        parts.join("&")
    }

    /// The same for another page.
    #[must_use]
    pub fn at(&self, page: usize) -> Self {
        Self {
            page,
            ..self.clone()
        }
    }

    /// Whether everything is asked for.
    pub fn is_all(&self) -> bool {
        self.text.is_empty() && self.kind.is_none() && self.state.is_none()
    }

    fn takes(&self, object: &PageObject) -> bool {
        let PageKey { id, kind } = &object.key;
        let has = |text: &str| text.to_lowercase().contains(&self.text.to_lowercase());
        self.kind.is_none_or(|wanted| wanted == *kind)
            && self.state.is_none_or(|wanted| wanted == object.state)
            && (self.text.is_empty()
                || has(&id.to_string())
                || has(kind.word())
                || has(&object.source))
    }
}

/// What a word of [`PageState::word`] means.
pub fn state(word: &str) -> Option<PageState> {
    ALL_STATES.into_iter().find(|state| state.word() == word)
}

/// All of them, the worst first.
pub const ALL_STATES: [PageState; 5] = [
    PageState::Wrong,
    PageState::Unclear,
    PageState::Busy,
    PageState::Quiet,
    PageState::Paused,
];

/// The rows of one page, and how many there are in all.
pub struct ChosenRows<'a> {
    /// Those of the page, in their order: what somebody should look at first, then by namespace and name.
    pub rows: Vec<&'a PageRow>,
    /// Those of all pages.
    pub total: usize,
    /// Which page it is, from 0: the last one where a later one was asked for.
    pub page: usize,
}

/// Chooses rows. Whether an object is busy does not move it: what is read stays where it is.
pub fn choose<'a>(rows: &'a [PageRow], filter: &RowFilter) -> ChosenRows<'a> {
    let mut chosen: Vec<&PageRow> = rows
        .iter()
        .filter(|row| filter.takes(&row.object))
        .collect();
    let rank = |row: &PageRow| match row.object.state {
        PageState::Wrong => 0,
        PageState::Unclear => 1,
        PageState::Busy | PageState::Quiet | PageState::Paused => 2,
    };
    chosen
        .sort_by(|one, other| (rank(one), &one.object.key).cmp(&(rank(other), &other.object.key)));
    let total = chosen.len();
    let page = filter.page.min(total.saturating_sub(1) / ROWS);
    let rows = chosen.into_iter().skip(page * ROWS).take(ROWS).collect();
    ChosenRows { rows, total, page }
}

/// The heads of the table.
pub const HEADS: &str = "<tr role=\"row\">\
<th role=\"columnheader\" scope=\"col\">Object</th>\
<th role=\"columnheader\" scope=\"col\">State</th>\
<th role=\"columnheader\" scope=\"col\">Backlog</th>\
<th role=\"columnheader\" scope=\"col\">Running</th>\
<th role=\"columnheader\" scope=\"col\">Waiting</th>\
<th role=\"columnheader\" scope=\"col\">Failed</th>\
<th role=\"columnheader\" scope=\"col\">Last launch</th>\
<th role=\"columnheader\" scope=\"col\">Why</th></tr>";

/// The id of an object's row.
pub fn row_id(key: &PageKey) -> String {
    format!("row/{}/{}", key.kind.word(), key.id)
}

/// An object's row.
pub fn row(row: &PageRow) -> Region {
    let object = &row.object;
    let id = row_id(&object.key);
    let mut html = Html::new();
    html.markup("<tr role=\"row\" id=\"")
        .text(&id)
        .markup("\">");
    html.markup("<th role=\"rowheader\" scope=\"row\">")
        .html(&link(&object.key));
    html.markup("<span class=\"kind\">")
        .text(object.key.kind.word())
        .markup("</span>");
    html.markup("</th><td role=\"cell\" data-label=\"State\">")
        .html(&badge(object.state))
        .markup("</td>");
    html.markup("<td role=\"cell\" class=\"number\" data-label=\"Backlog\">");
    html.html(&amount(object.backlog))
        .html(&row.plots.backlog.svg("Backlog", PlotSize::Small));
    html.markup("</td><td role=\"cell\" class=\"number\" data-label=\"Running\">");
    html.html(&count(row.running()))
        .html(&cap(object.cap))
        .html(&row.plots.running.svg("Jobs running", PlotSize::Small));
    html.markup("</td><td role=\"cell\" class=\"number\" data-label=\"Waiting\">");
    html.html(&count(row.waiting()))
        .html(&row.plots.waiting.svg("Jobs waiting", PlotSize::Small));
    html.markup("</td><td role=\"cell\" class=\"number failed\" data-label=\"Failed\">");
    html.html(&count(Some(row.failed())))
        .html(&row.plots.failed.svg("Jobs failed", PlotSize::Small));
    html.markup("</td><td role=\"cell\" data-label=\"Last launch\">");
    match object.last_launch {
        Some(at) => html.moment(at),
        None => html.markup("<span class=\"none\">never</span>"),
    };
    html.html(&row.plots.launched.svg("Jobs launched", PlotSize::Small));
    html.markup("</td><td role=\"cell\" class=\"why\" data-label=\"Why\">");
    html.shortened(&object.words, LETTERS).markup("</td></tr>");
    Region { id, html }
}

/// A link to an object's page.
pub fn link(key: &PageKey) -> Html {
    let mut html = Html::new();
    html.markup("<a href=\"")
        .text(&key.path())
        .markup("\"><span class=\"namespace\">");
    html.text(&key.id.namespace)
        .markup("/</span>")
        .text(&key.id.name)
        .markup("</a>");
    html
}

/// A state as a word with a colour.
pub fn badge(state: PageState) -> Html {
    let mut html = Html::new();
    html.markup("<span class=\"badge ")
        .text(state.word())
        .markup("\">");
    html.text(state.word()).markup("</span>");
    html
}

/// Units of work: whole ones, as a column shows them.
pub fn amount(backlog: Option<f64>) -> Html {
    let mut html = Html::new();
    match backlog {
        Some(backlog) => {
            let shown = format!("{}", (backlog * 10.0).round() / 10.0);
            html.markup("<span class=\"count\">")
                .text(&shown)
                .markup("</span>");
        }
        None => {
            html.markup("<span class=\"none\" title=\"not known, or nothing to count\">–</span>");
        }
    }
    html
}

/// A number of Jobs.
pub fn count(number: Option<u64>) -> Html {
    let mut html = Html::new();
    match number {
        Some(number) => html
            .markup("<span class=\"count\">")
            .number(number)
            .markup("</span>"),
        None => {
            html.markup("<span class=\"none\" title=\"not known, or nothing to count\">–</span>")
        }
    };
    html
}

fn cap(cap: Option<u64>) -> Html {
    let mut html = Html::new();
    if let Some(cap) = cap {
        html.markup("<span class=\"cap\"> of ")
            .number(cap)
            .markup("</span>");
    }
    html
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    pub(in crate::page) fn some_row(name: &str, ready: &str) -> PageRow {
        let object = json!({
            "apiVersion": "slipway.dev/v1alpha1", "kind": "ScaledJob",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"triggers": [{"type": "kafka"}], "maxReplicaCount": 9},
            "status": {"conditions": [{"type": "Ready", "status": ready, "reason": "R", "message": "<b>m</b>"}], "backlog": 5},
        });
        PageRow {
            object: Arc::new(PageObject::of(&object).unwrap()),
            tally: None,
            plots: Arc::default(),
        }
    }

    #[test]
    fn a_filter_is_read_as_it_is_written() {
        let filter = RowFilter {
            text: "a b&c=ü".to_owned(),
            kind: Some(PageKind::KedaScaledJob),
            state: Some(PageState::Busy),
            page: 3,
        };
        assert_eq!(RowFilter::parse(&filter.query()), filter);
        assert_eq!(RowFilter::default().query(), "");
        for odd in [
            "",
            "q=%ff",
            "page=0",
            "page=x",
            "kind=Pod",
            "state=odd",
            "&&=",
            "x=y",
        ] {
            assert_eq!(RowFilter::parse(odd), RowFilter::default(), "{odd}");
        }
        let long = format!("q={}", "x".repeat(10_000));
        assert_eq!(RowFilter::parse(&long).text.len(), LONGEST_FILTER);
    }

    #[test]
    fn trouble_comes_first_and_the_rest_by_name() {
        let rows = [
            ("c", "True"),
            ("a", "True"),
            ("z", "Unknown"),
            ("y", "False"),
        ];
        let rows: Vec<_> = rows
            .iter()
            .map(|(name, ready)| some_row(name, ready))
            .collect();
        let names = |filter: &RowFilter| -> Vec<String> {
            let chosen = choose(&rows, filter).rows;
            chosen
                .iter()
                .map(|row| row.object.key.id.name.to_string())
                .collect()
        };
        assert_eq!(names(&RowFilter::default()), ["y", "z", "a", "c"]);
        assert_eq!(names(&RowFilter::parse("state=wrong")), ["y"]);
        assert_eq!(names(&RowFilter::parse("q=SHOP/a")), ["a"]);
        assert_eq!(names(&RowFilter::parse("q=kafka")).len(), 4);
        assert_eq!(names(&RowFilter::parse("kind=eventjob")).len(), 0);
    }

    #[test]
    fn a_page_that_is_not_there_is_the_last_one() {
        let rows: Vec<_> = (0..250)
            .map(|index| some_row(&format!("o{index:03}"), "True"))
            .collect();
        let chosen = choose(&rows, &RowFilter::default().at(2));
        assert_eq!((chosen.total, chosen.page, chosen.rows.len()), (250, 2, 50));
        let chosen = choose(&rows, &RowFilter::default().at(9));
        assert_eq!((chosen.page, chosen.rows.len()), (2, 50));
        assert_eq!(choose(&[], &RowFilter::default().at(9)).page, 0);
    }

    #[test]
    fn a_row_says_what_it_knows_and_no_markup_of_others() {
        let html = row(&some_row("a", "False")).html.into_string();
        assert!(html.contains("&lt;b&gt;m&lt;/b&gt;"), "{html}");
        assert!(
            html.contains("href=\"/objects/ScaledJob/shop/a\""),
            "{html}"
        );
        assert!(html.contains("<span class=\"cap\"> of 9</span>"), "{html}");
        assert!(html.contains("<span class=\"count\">5</span>"), "{html}");
        assert!(html.contains("never"), "{html}");
    }
}
