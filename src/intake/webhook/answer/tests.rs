use super::*;
use crate::cycle::delivery::JobOfEvent;
use crate::launch::Launched;

fn job(launched: Launched) -> EventReport {
    EventReport::of_delivery(Ok(DeliveryOutcome::Job(JobOfEvent {
        name: "invoice-x".to_owned(),
        event_id: "e-1".to_owned(),
        launched,
        is_gated: false,
    })))
    .of(&ObjectId::new("production", "invoice"))
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of rows")]
fn every_error_has_the_status_that_makes_its_sender_do_the_right_thing() {
    let object = || "job a/b".to_owned();
    let detail = || "words".to_owned();
    let launch = |error: launch::Error| Error::Launch(error);
    let rows = [
        (Error::Suspended, 503, "Suspended"),
        (Error::TemplateRefused { detail: detail() }, 503, "NotReady"),
        (
            Error::WaitingListFull { waiting: 3 },
            429,
            "WaitingListFull",
        ),
        (
            Error::RateLimited {
                retry_after: Duration::from_millis(1_200),
            },
            429,
            "RateLimited",
        ),
        (
            Error::Refused(Refusal {
                field: "$.id".to_owned(),
                message: "is missing".to_owned(),
            }),
            400,
            "BadRequest",
        ),
        (
            launch(launch::Error::Rejected {
                object: object(),
                detail: detail(),
            }),
            422,
            "Rejected",
        ),
        (
            launch(launch::Error::Quota {
                object: object(),
                detail: detail(),
            }),
            429,
            "QuotaExceeded",
        ),
        (
            launch(launch::Error::Forbidden {
                object: object(),
                detail: detail(),
            }),
            503,
            "Forbidden",
        ),
        (
            launch(launch::Error::LedgerFull {
                namespace: object(),
            }),
            503,
            "LedgerFull",
        ),
        (
            launch(launch::Error::Unknown {
                object: object(),
                detail: detail(),
            }),
            503,
            "Unavailable",
        ),
        (
            launch(launch::Error::Unavailable {
                object: object(),
                detail: detail(),
            }),
            503,
            "Unavailable",
        ),
        (
            launch(launch::Error::Throttled {
                object: object(),
                detail: detail(),
            }),
            503,
            "Unavailable",
        ),
        (
            launch(launch::Error::NameTaken { object: object() }),
            503,
            "Unavailable",
        ),
        (
            launch(launch::Error::Gone { object: object() }),
            503,
            "Unavailable",
        ),
    ];
    for (error, status, reason) in rows {
        let text = format!("{error:?}");
        let answer = EventReport::of_delivery(Err(error)).into_answer();
        assert_eq!(answer.status(), status, "{text}");
        let body: Value = serde_json::from_str(&answer.body()).unwrap();
        assert_eq!(body["reason"], reason, "{text}");
        assert_eq!(body["statusCode"], status, "{text}");
        let waits = matches!(status, 429 | 503);
        assert_eq!(answer.retry_after_seconds().is_some(), waits, "{text}");
        assert_eq!(body.get("retryAfterSeconds").is_some(), waits, "{text}");
    }
}

#[test]
fn a_list_is_2xx_only_when_every_item_is_and_a_passing_trouble_wins() {
    let bad = || {
        EventReport::refused(&Refusal {
            field: "body".to_owned(),
            message: "is no JSON".to_owned(),
        })
    };
    let busy = || EventReport::error(Reason::Busy, "later");
    let rows = [
        (vec![], 200),
        (vec![job(Launched::Created), job(Launched::Remembered)], 200),
        (vec![job(Launched::Created), bad()], 400),
        (vec![bad(), busy(), job(Launched::Created)], 503),
        (
            vec![EventReport::error(Reason::RateLimited, "later"), bad()],
            429,
        ),
    ];
    for (reports, status) in rows {
        let count = reports.len();
        let answer = DoorAnswer::many(reports);
        assert_eq!(answer.status(), status);
        let body: Value = serde_json::from_str(&answer.body()).unwrap();
        assert_eq!(body["results"].as_array().unwrap().len(), count);
        assert_eq!(
            answer.retry_after_seconds().is_some(),
            matches!(status, 429 | 503)
        );
    }
}

#[test]
fn a_job_is_named_with_its_event() {
    let answer = job(Launched::Created).into_answer();
    assert_eq!(
        answer.body(),
        r#"{"statusCode":200,"result":"Created","jobName":"invoice-x","eventId":"e-1","namespace":"production","eventJob":"invoice"}"#
    );
}
