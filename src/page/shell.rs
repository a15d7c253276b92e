//! What every page has around it: head, navigation, the line that says whether it is live.

use crate::page::html::Html;

/// The style sheet.
pub const STYLE: &str = include_str!("shell/page.css");
/// The script.
pub const SCRIPT: &str = include_str!("shell/page.js");
/// The icon, an SVG.
pub const ICON: &str = include_str!("shell/icon.svg");

/// A page to be sent.
#[derive(Debug, Clone, Default)]
pub struct Shell<'a> {
    /// Its title.
    pub title: &'a str,
    /// The address of its event stream; empty for a page that does not change.
    pub stream: &'a str,
    /// Its body.
    pub body: Html,
    /// Its last line.
    pub footer: Html,
    /// What was looked for, if something was.
    pub sought: &'a str,
}

impl Shell<'_> {
    /// The whole document.
    pub fn document(&self) -> String {
        let mut html = Html::new();
        html.markup("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>");
        html.text(self.title);
        html.markup(" – Slipway</title><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\"><link rel=\"icon\" href=\"/icon.svg\" type=\"image/svg+xml\"><link rel=\"stylesheet\" href=\"/page.css\"><script src=\"/page.js\" defer></script></head><body data-stream=\"");
        html.text(self.stream);
        html.markup("\"><a class=\"skip\" href=\"#main\">Skip to the content</a><header><a class=\"home\" href=\"/\">Slipway</a><form role=\"search\" method=\"get\" action=\"/find\" aria-label=\"Find an event or a Job\"><label><span class=\"hidden\">Event id or Job name</span><input type=\"search\" name=\"q\" required placeholder=\"Event id or Job name\" value=\"");
        html.text(self.sought);
        html.markup("\"></label><button>Find</button></form><p id=\"connection\" role=\"status\">");
        html.markup(if self.stream.is_empty() {
            "As of when it was loaded"
        } else {
            "Does not change by itself"
        });
        html.markup("</p></header><main id=\"main\" tabindex=\"-1\">");
        html.html(&self.body)
            .markup("</main><footer>")
            .html(&self.footer);
        html.markup("</footer></body></html>\n");
        html.into_string()
    }
}

/// A page that says that there is nothing, or why it cannot be shown.
pub fn notice(title: &str, words: &str) -> String {
    let mut body = Html::new();
    body.markup("<h1>")
        .text(title)
        .markup("</h1><p>")
        .text(words);
    body.markup("</p><p><a href=\"/\">All objects</a></p>");
    Shell {
        title,
        body,
        ..Shell::default()
    }
    .document()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_names_its_own_origin_alone() {
        let document = notice("<x>", "a & b");
        assert!(
            document.contains("<title>&lt;x&gt; – Slipway</title>"),
            "{document}"
        );
        for text in [document.as_str(), STYLE, SCRIPT, ICON] {
            let elsewhere = text.replace("http://www.w3.org/2000/svg", "");
            assert!(
                !elsewhere.contains("//cdn")
                    && !elsewhere.contains("http:")
                    && !elsewhere.contains("https:"),
                "{text}"
            );
        }
        assert!(
            !document.contains("style=") && !document.contains("onclick"),
            "{document}"
        );
        assert!(
            !SCRIPT.contains("eval(") && !STYLE.contains("@import"),
            "they stand alone"
        );
    }
}
