//! Where a caller's metadata may send us: pure.
//!
//! Stricter than for objects, whose authors have rights in a namespace: whoever reaches
//! the port can ask. Addresses of callers have to be listed, or AWS's own; and what a
//! connection holds goes to no address but its own.

use super::refusal::RpcRefusal;
use crate::address::{self, Rules};
use crate::resource::SourceSpec;
use crate::resource::connection::Connection;

/// What callers may be sent to where `--allow-address` says nothing.
pub(super) const DEFAULT: [&str; 2] = ["*.amazonaws.com", "*.amazonaws.com.cn"];

/// Holds the addresses of a source against the rules for callers. An address is named only where it `is_quotable`.
///
/// # Errors
///
/// [`RpcRefusal`] with the key and what would allow the address.
pub(super) fn check(
    source: &SourceSpec,
    connection: Option<&Connection>,
    rules: &Rules,
    is_quotable: bool,
) -> Result<(), RpcRefusal> {
    let is_of_connection =
        |key: &str| connection.is_some_and(|connection| connection.metadata.contains_key(key));
    if let SourceSpec::Sqs(queue) = source
        && queue.endpoint.is_some()
        && !is_of_connection("awsEndpoint")
    {
        return Err(RpcRefusal::Invalid(
            "metadata.awsEndpoint: an endpoint is the operator's to choose: leave it out, or use a connection that has it"
                .to_owned(),
        ));
    }
    if let SourceSpec::Kafka(group) = source
        && !is_of_connection("bootstrapServers")
    {
        if connection.is_some_and(|connection| connection.authentication.is_some()) {
            return Err(RpcRefusal::Denied(
                "metadata.bootstrapServers: a connection's credentials go to no address of a caller: the connection has to name bootstrapServers itself"
                    .to_owned(),
            ));
        }
        for server in &group.cluster.bootstrap_servers {
            let host = server
                .rsplit_once(':')
                .map_or(server.as_str(), |(host, _)| host);
            let is_right = rules.names(host) || address::is_msk_of_aws(host);
            if !is_right && !is_quotable {
                return Err(RpcRefusal::Denied(
                    "metadata.bootstrapServersFromEnv: a host is not among the addresses that callers may name: use a connection, or have the operator allow it with `--allow-address`"
                        .to_owned(),
                ));
            }
            if !is_right {
                return Err(RpcRefusal::Denied(format!(
                    "metadata.bootstrapServers: {host:?} is not among the addresses that callers may name: use a connection, or have the operator give `--allow-address {host}`"
                )));
            }
        }
    }
    Ok(())
}
