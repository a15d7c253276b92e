//! The pages there are: what each shows now, whole or in parts.

use super::{Admin, AdminState};
use crate::page::decision;
use crate::page::html::{Html, encoded};
use crate::page::object::PageKey;
use crate::page::object_page::{self, ObjectView, job_link};
use crate::page::overview;
use crate::page::regions::{Regions, fingerprint};
use crate::page::rows::{self, RowFilter};
use crate::page::shell::Shell;
use crate::page::timeline;
use crate::resource::ObjectId;

/// Jobs of one name that are listed: there is one a namespace.
const MOST_FOUND: usize = 50;

/// One page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AdminView {
    /// All objects, as far as they are asked for.
    Overview(RowFilter),
    /// One object.
    Object(PageKey),
    /// One Job.
    Job(ObjectId),
}

/// What a search came to.
pub(super) enum Found {
    /// The address of the one thing.
    One(String),
    /// A page that says what there is.
    Page(String),
}

impl<A: Admin> AdminState<A> {
    /// What a page shows now; `None` when what it is about is gone.
    ///
    /// # Errors
    ///
    /// Why it cannot be told, in words.
    pub(super) async fn regions(&self, view: &AdminView) -> Result<Option<Regions>, String> {
        let board = self.admin.board();
        let memory = self.admin.memory();
        Ok(match view {
            AdminView::Overview(filter) => Some(overview::regions(&board.rows(), filter, &memory)),
            AdminView::Object(key) => self.with_object(key, object_page::regions),
            AdminView::Job(id) => self.story(id).await?.map(|story| {
                let mut regions = Regions::default();
                regions.part("way", timeline::html(&story, (self.settings.clock)()));
                regions.part("again", timeline::again(&story, &memory, self.may_write()));
                regions.part("because", self.because(id));
                regions
            }),
        })
    }

    /// A page; `None` when what it is about is not there.
    ///
    /// # Errors
    ///
    /// Why it cannot be told, in words.
    pub(super) async fn document(&self, view: &AdminView) -> Result<Option<String>, String> {
        let Some(regions) = self.regions(view).await? else {
            return Ok(None);
        };
        let seen = fingerprint(&regions);
        let (title, stream, body) = match view {
            AdminView::Overview(filter) => {
                let query = filter.query();
                let stream = format!("/api/v1/stream?{query}&seen={seen}");
                (
                    "Objects".to_owned(),
                    stream,
                    Some(overview::body(&regions, filter)),
                )
            }
            AdminView::Object(key) => {
                let stream = format!("/api/v1/stream{}?seen={seen}", key.path());
                let body = self.with_object(key, |view| object_page::body(&regions, view));
                (format!("{} {}", key.kind.word(), key.id), stream, body)
            }
            AdminView::Job(id) => {
                let [namespace, name] = [encoded(&id.namespace), encoded(&id.name)];
                let stream = format!("/api/v1/stream/jobs/{namespace}/{name}?seen={seen}");
                let mut body = Html::new();
                body.markup("<h1><span class=\"kind\">Job</span>")
                    .text(&id.to_string())
                    .markup("</h1>");
                for part in ["way", "again", "because"] {
                    body.html(&regions.get(part));
                }
                (format!("Job {id}"), stream, Some(body))
            }
        };
        let Some(body) = body else {
            return Ok(None);
        };
        let footer = match view {
            AdminView::Job(_) => {
                let mut html = Html::new();
                html.markup("<p>As the Job and its Pods say it now.</p>");
                html
            }
            _ => regions.get("memory"),
        };
        let shell = Shell {
            title: &title,
            stream: &stream,
            body,
            footer,
            sought: "",
        };
        Ok(Some(shell.document()))
    }

    fn may_write(&self) -> bool {
        matches!(self.admin.token(), Ok(Some(_)))
    }

    fn with_object<T>(&self, key: &PageKey, show: impl FnOnce(&ObjectView<'_>) -> T) -> Option<T> {
        let board = self.admin.board();
        let row = board.row(key)?;
        let jobs = board.jobs(key);
        let memory = self.admin.memory();
        let decisions = self.decisions(key);
        Some(show(&ObjectView {
            row: &row,
            jobs: jobs.as_ref(),
            decisions: &decisions,
            memory: &memory,
            may_write: self.may_write(),
        }))
    }

    /// The decision that made a Job, or the answers that named it, as far as this process made them.
    fn because(&self, job: &ObjectId) -> Html {
        let mut records = self.admin.history().of_job(&job.name);
        records.retain(|record| record.subject.id.namespace == job.namespace);
        let lines = decision::newest(&records, MOST_FOUND);
        let mut html = Html::new();
        html.markup("<section id=\"because\" aria-labelledby=\"why-it-is\"><h2 id=\"why-it-is\">Why it is there</h2>");
        if lines.is_empty() {
            html.markup("<p>This process did not make it, or does not remember.</p></section>");
        } else {
            html.html(&decision::list(&lines, true))
                .markup("</section>");
        }
        html
    }

    /// Where an event or a Job is.
    pub(super) fn find(&self, sought: &str) -> Found {
        let sought = sought.trim();
        let records = self.admin.history().of_event(sought);
        let lines = decision::newest(&records, MOST_FOUND);
        if !lines.is_empty() {
            let mut body = Html::new();
            body.markup("<h1>Event ").shortened(sought, 200).markup("</h1><p>What this process answered to it, the newest first. A Job's page has the rest of its way.</p>");
            body.html(&decision::list(&lines, true));
            return Found::Page(self::found(body, sought));
        }
        let found = self.admin.board().find_jobs(sought, MOST_FOUND);
        if let [only] = found.as_slice() {
            let [namespace, name] = [encoded(&only.namespace), encoded(&only.name)];
            return Found::One(format!("/jobs/{namespace}/{name}"));
        }
        let mut body = Html::new();
        body.markup("<h1>Find</h1>");
        if found.is_empty() {
            body.markup("<p>No Job that this process has seen is called <strong>")
                .shortened(sought, 200);
            body.markup("</strong>, and it remembers no event of this id.</p>");
            let filter = RowFilter {
                text: sought.to_owned(),
                ..RowFilter::default()
            };
            let rows = self.admin.board().rows();
            let objects = rows::choose(&rows, &filter).rows;
            if !objects.is_empty() {
                body.markup("<p>Objects like that:</p><ul>");
                for row in objects.into_iter().take(MOST_FOUND) {
                    body.markup("<li>")
                        .html(&rows::link(&row.object.key))
                        .markup("</li>");
                }
                body.markup("</ul>");
            }
        } else {
            body.markup("<ul>");
            for id in &found {
                body.markup("<li>")
                    .html(&job_link(&id.namespace, &id.name))
                    .markup(" in ");
                body.text(&id.namespace).markup("</li>");
            }
            body.markup("</ul>");
        }
        Found::Page(self::found(body, sought))
    }
}

/// What was found, as a page.
fn found(body: Html, sought: &str) -> String {
    let shell = Shell {
        title: "Find",
        body,
        sought,
        ..Shell::default()
    };
    shell.document()
}
