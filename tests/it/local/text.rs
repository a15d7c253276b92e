//! Text made of an event's values, by Kubernetes' own `$(NAME)`.

use serde_json::json;

use super::{Bench, SOON, display};
use crate::support::await_until;
use crate::support::http::post;
use crate::support::local::SlipwayLocal;

#[tokio::test]
async fn bound_variables_come_first_so_that_a_template_puts_text_together() {
    let bench = Bench::new("text");
    let out = display(&bench.path("out"));
    let object = json!({
        "apiVersion": "slipway.dev/v1alpha1", "kind": "EventJob", "metadata": {"name": "copy"},
        "spec": {
            "source": {"webhook": {"format": "JSON", "auth": [{"none": {}}]}},
            "idFrom": [{"path": "$.id"}],
            "bind": {"env": [{"name": "BUCKET", "path": "$.bucket"}, {"name": "KEY", "path": "$.key"}]},
            "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{
                "name": "copy", "image": "x",
                "command": ["sh", "-c", format!("printf '%s %s\\n' \"$0\" \"$URL\" >>{out}")],
                "args": ["s3://$(BUCKET)/$(KEY)"],
                "env": [{"name": "URL", "value": "https://example.com/$(KEY)"}],
            }]}}}},
        },
    });
    let file = bench.path("copy.yaml");
    std::fs::write(&file, object.to_string()).unwrap();
    let slipway = SlipwayLocal::start("text-run", &[file]);
    // What looks like a variable in a value is text.
    let body = json!({"id": "1", "bucket": "b", "key": "$(BUCKET)"}).to_string();
    await_until("it is taken", SOON, async || {
        let heard = post(slipway.http(), "/events/default/copy", &[], &body).await?;
        (heard.status == 200).then_some(())
    })
    .await;
    await_until("it ran", SOON, async || bench.lines("out").first().cloned()).await;
    assert_eq!(
        bench.lines("out"),
        ["s3://b/$(BUCKET) https://example.com/$(BUCKET)"]
    );
}
