//! Everything that is proved from outside: the recorded answers, the laws, and
//! the built binary against real servers. One binary, so that it links once.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what tests share panics with the row, the file or the variable that is wrong"
)]

mod support;

mod alerts;
mod architecture;
mod attacks;
mod binding;
mod cap;
mod chart;
mod check;
mod clock;
mod controller;
mod cron_vectors;
mod cron_zones;
mod cycle;
mod docs;
mod door;
mod eventbridge_rule;
mod events;
mod examples;
mod external;
mod hanging;
mod help;
mod job_rules;
mod jobs;
mod kafka;
mod keda;
mod keda_examples;
mod lambda;
mod launch_vectors;
mod leading;
mod lease;
mod local;
mod lookup;
mod metrics;
mod node;
mod page;
mod pattern_vectors;
mod protocol;
mod quiet;
mod readme;
mod resource_vectors;
mod restarts;
mod scaling_laws;
mod scaling_vectors;
mod schedule;
mod schedules;
mod source_vectors;
mod sqs;
mod status;
mod template_corpus;
mod test_event;
mod turns;
mod watch;
mod why;
