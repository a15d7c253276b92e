//! What the status page and its API say: values in, HTML and JSON out.
//!
//! Pure. Objects come as the API server shows them (`object`), Jobs as somebody saw them (`job`), plots as numbers
//! (`plot`). Whoever remembers them is `board`; whoever sends them is `serve::admin`. Every text of an object, an event or
//! the API server was written by a stranger: it enters HTML through [`html::Html::text`] alone.

pub mod advice;
pub mod api;
pub mod decision;
pub mod html;
pub mod job;
pub mod object;
pub mod object_page;
pub mod overview;
pub mod plot;
pub mod regions;
pub mod rows;
pub mod shell;
pub mod timeline;
