//! Which addresses a user's object may send us to, and which of them may see who we are.
//!
//! Any may be called, except those that are inside our own machine or hand out its
//! credentials: loopback, link-local, metadata services. What the operator lists
//! with `--allow-address` may be called too.
//!
//! Credentials of our own go only to AWS, whoever asks, and to what the operator lists
//! with `--allow-identity`. Neither list means the other.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

mod embedded;
mod proxy;

pub use proxy::HttpsProxy;

/// What the operator allows beyond the rule.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    allow: Vec<String>,
    allow_loopback: bool,
    identity: Vec<String>,
    allow_all: bool,
    proxy: Option<HttpsProxy>,
}

/// What proved that the other side of a connection is the host that was named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostProof {
    /// Nothing: no TLS, or a certificate that nobody looks at.
    Nothing,
    /// A certificate that verifies for the name, against roots that the object's author gave.
    GivenRoots,
    /// A certificate that verifies for the name, against this machine's roots.
    PublicRoots,
}

impl Rules {
    /// Rules from `--allow-address` patterns: a host or an IP address, or `*.` and a domain. `local` allows loopback.
    pub fn new(allow: impl IntoIterator<Item = String>, allow_loopback: bool) -> Self {
        Self {
            allow: patterns(allow),
            allow_loopback,
            identity: Vec::new(),
            allow_all: false,
            proxy: None,
        }
    }

    /// Rules of an operator who allows all that can be allowed: what these refuse, no flag allows.
    pub fn most_generous() -> Self {
        Self {
            allow_all: true,
            ..Self::default()
        }
    }

    /// The rules, where calls over https go through a proxy.
    #[must_use]
    pub fn through(mut self, proxy: Option<HttpsProxy>) -> Self {
        self.proxy = proxy;
        self
    }

    /// The proxy, whatever it takes.
    pub fn proxy(&self) -> Option<&HttpsProxy> {
        self.proxy.as_ref()
    }

    /// The proxy that a call to this address goes through, if it goes through one.
    ///
    /// Where a proxy connects to cannot be looked at. So it is asked only for AWS's names, and for hosts that the operator named.
    ///
    /// # Errors
    ///
    /// Why the host may not be called through the proxy, and what would allow it.
    pub fn proxy_for(&self, address: &str) -> Result<Option<&HttpsProxy>, String> {
        let Some(proxy) = &self.proxy else {
            return Ok(None);
        };
        let uri: http::Uri = address
            .parse()
            .map_err(|_| "the address is not one of HTTP's".to_owned())?;
        if !proxy.takes(&uri) {
            return Ok(None);
        }
        let host = uri.host().unwrap_or_default();
        if self.names(host) || is_below_aws(host) {
            return Ok(Some(proxy));
        }
        Err(format!(
            "{host} would be called through a proxy, where it cannot be seen which address that is: it needs `--allow-address {host}`, or a place in NO_PROXY"
        ))
    }

    /// The rules, with `--allow-identity` patterns of the same form.
    #[must_use]
    pub fn showing_identity(mut self, allow: impl IntoIterator<Item = String>) -> Self {
        self.identity = patterns(allow);
        self
    }

    /// Whether the operator named this host as one that may be called.
    pub fn names(&self, host: &str) -> bool {
        self.allow_all || is_named(&self.allow, host)
    }

    /// Whether this host may see our own identity. `is_of_aws` says whether it is the AWS service that it is meant for.
    ///
    /// # Errors
    ///
    /// Why the host is refused, and what would allow it.
    pub fn check_identity(
        &self,
        host: &str,
        is_of_aws: bool,
        proof: HostProof,
    ) -> Result<(), String> {
        if is_of_aws && proof == HostProof::PublicRoots {
            return Ok(());
        }
        if proof == HostProof::Nothing && !is_loopback(host) {
            return Err(format!(
                "Slipway's own AWS identity is shown to {host} only over TLS that is verified; or use keys in a TriggerAuthentication"
            ));
        }
        if self.allow_all || is_named(&self.identity, host) {
            return Ok(());
        }
        let only = if is_of_aws {
            "over TLS that is verified against public roots"
        } else {
            "to the AWS service itself"
        };
        Err(format!(
            "Slipway's own AWS identity is shown only {only}; for {host} use keys in a TriggerAuthentication, or `--allow-identity {host}`"
        ))
    }

    /// Looks at a host as written: literal addresses, and names that always mean such an address.
    ///
    /// # Errors
    ///
    /// Why the host is refused, and what would allow it.
    pub fn check_host(&self, host: &str) -> Result<(), String> {
        if self.names(host) {
            return Ok(());
        }
        let host = plain(host);
        if let Some(address) = literal(&host) {
            return self.check_address(&host, address);
        }
        if host == "localhost" || host.ends_with(".localhost") {
            return self.check_address(&host, IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        Ok(())
    }

    /// Looks at an address that a host was resolved to.
    ///
    /// # Errors
    ///
    /// Why the address is refused, and what would allow it.
    pub fn check_address(&self, host: &str, address: IpAddr) -> Result<(), String> {
        if self.names(host) || self.names(&address.to_string()) {
            return Ok(());
        }
        for meaning in embedded::meanings(address) {
            if let Some(kind) = self.refused(meaning) {
                return Err(format!(
                    "{host} is {kind}, which needs `--allow-address {host}`"
                ));
            }
        }
        Ok(())
    }

    /// What is wrong with an address, if it is not for users to name.
    fn refused(&self, address: IpAddr) -> Option<&'static str> {
        if self.names(&address.to_string()) {
            return None;
        }
        match address {
            _ if address.is_loopback() || address.is_unspecified() => {
                (!self.allow_loopback).then_some("a loopback address")
            }
            _ if is_metadata(address) => Some("the address of a metadata service"),
            IpAddr::V4(v4) if v4.is_link_local() => Some("a link-local address"),
            IpAddr::V6(v6) if v6.is_unicast_link_local() => Some("a link-local address"),
            _ if address.is_multicast() => Some("a multicast address"),
            IpAddr::V4(v4) if v4.is_broadcast() => Some("a broadcast address"),
            _ => None,
        }
    }
}

/// Whether `host` is SQS itself in this region: what our own credentials may be shown to.
///
/// Any other name below `amazonaws.com` may be a customer's bucket, load
/// balancer or machine. Source: the service endpoints and VPC endpoint names in
/// the AWS General Reference, "Amazon SQS endpoints and quotas".
pub fn is_sqs_of_aws(host: &str) -> bool {
    let host = plain(host);
    let Some(rest) = below_aws(&host) else {
        return false;
    };
    let labels: Vec<&str> = rest.split('.').collect();
    match labels[..] {
        ["queue"] => true,
        ["sqs" | "sqs-fips", region]
        | [region, "queue"]
        | [_, "sqs" | "sqs-fips", region, "vpce"] => is_region(region),
        _ => false,
    }
}

/// Whether `host` is a broker of MSK: the other thing our own credentials may be shown to.
///
/// Source: Amazon MSK Developer Guide, "Get the bootstrap brokers".
pub fn is_msk_of_aws(host: &str) -> bool {
    let host = plain(host);
    let Some(rest) = below_aws(&host) else {
        return false;
    };
    let labels: Vec<&str> = rest.split('.').collect();
    matches!(labels[..], [_, .., "kafka" | "kafka-serverless", region] if is_region(region))
}

/// Whether `host` is under a domain of AWS's. It may be a customer's: enough only for addresses that no user writes.
pub fn is_below_aws(host: &str) -> bool {
    below_aws(&plain(host)).is_some()
}

/// Whether `host`, a literal address, belongs to what hands out credentials on this machine: metadata services, agents on loopback.
pub fn is_credential_service(host: &str) -> bool {
    literal(&plain(host)).is_some_and(|address| match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || is_metadata(address),
    })
}

/// What stands before one of the domains that AWS's own endpoints are in.
fn below_aws(host: &str) -> Option<&str> {
    const DOMAINS: [&str; 2] = [".amazonaws.com", ".amazonaws.com.cn"];
    DOMAINS.iter().find_map(|domain| host.strip_suffix(domain))
}

/// Whether this is the form of a region's name (`eu-west-1`), so that it cannot smuggle a host into an address made from it.
pub fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let letters = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    match parts[..] {
        [ref names @ .., number] => {
            names.len() >= 2 && names.iter().all(|name| letters(name)) && digits(number)
        }
        [] => false,
    }
}

fn patterns(written: impl IntoIterator<Item = String>) -> Vec<String> {
    written.into_iter().map(|pattern| plain(&pattern)).collect()
}

fn is_named(patterns: &[String], host: &str) -> bool {
    let host = plain(host);
    patterns
        .iter()
        .any(|pattern| match pattern.strip_prefix("*.") {
            Some(domain) => host
                .strip_suffix(domain)
                .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
            None => *pattern == host,
        })
}

/// Whether a host as written can only be this machine.
fn is_loopback(host: &str) -> bool {
    let host = plain(host);
    host == "localhost" || literal(&host).is_some_and(|address| address.is_loopback())
}

/// A host without case, brackets, the root's dot or an IPv6 zone (`fe80::1%eth0`).
fn plain(host: &str) -> String {
    let host = host.trim().trim_end_matches('.').to_ascii_lowercase();
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(&host);
    match bare.split_once('%') {
        Some((address, _)) if address.contains(':') => address.to_owned(),
        _ => bare.to_owned(),
    }
}

/// An IP address as `getaddrinfo` reads it: `127.1`, `0x7f000001` and `2130706433` too.
fn literal(host: &str) -> Option<IpAddr> {
    if let Ok(address) = host.parse() {
        return Some(address);
    }
    // A host of a `http` URL is read by the same rules as inet_aton's.
    match url::Url::parse(&format!("http://{host}/")).ok()?.host()? {
        url::Host::Ipv4(address) => Some(IpAddr::V4(address)),
        url::Host::Ipv6(address) => Some(IpAddr::V6(address)),
        url::Host::Domain(_) => None,
    }
}

/// Metadata services that are not link-local: Alibaba's, Azure's and Oracle's, and EC2's and EKS's over IPv6.
fn is_metadata(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => [
            Ipv4Addr::new(100, 100, 100, 200),
            Ipv4Addr::new(168, 63, 129, 16),
            Ipv4Addr::new(192, 0, 0, 192),
            Ipv4Addr::new(169, 254, 169, 254),
        ]
        .contains(&v4),
        IpAddr::V6(v6) => {
            v6.segments()[..2] == Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0).segments()[..2]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_inside_the_machine_are_refused_however_they_are_written() {
        let rules = Rules::default();
        for host in [
            "localhost",
            "LOCALHOST.",
            "db.localhost",
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f.1",
            "0.0.0.0",
            "[::1]",
            "::1",
            "::",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::169.254.169.254",
            "64:ff9b:1:7f00:0:100::",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "::127.0.0.1",
            "::ffff:0:127.0.0.1",
            "2001:0:1:2:3:4:80ff:fffe",
            "fe80::1%eth0",
            "[fe80::1%25eth0]",
            "169.254.169.254",
            "169.254.170.23",
            "fe80::1",
            "fd00:ec2::254",
            "100.100.100.200",
            "224.0.0.1",
        ] {
            assert!(rules.check_host(host).is_err(), "{host}");
        }
        for host in [
            "10.0.0.7",
            "kafka.orders.svc",
            "sqs.internal",
            "fd00::1",
            "192.168.1.1",
            "64:ff9b::10.0.0.7",
            "64:ff9b:1::10.0.0.7",
            "2002:a00:7::1",
            "2001:db8::1",
        ] {
            assert!(rules.check_host(host).is_ok(), "{host}");
        }
    }

    #[test]
    fn the_operator_may_allow_a_host_a_domain_or_an_address() {
        let allow = ["127.0.0.1", "*.lab.example", "[::1]"].map(str::to_owned);
        let rules = Rules::new(allow, false);
        assert!(rules.check_host("127.0.0.1").is_ok());
        assert!(rules.check_host("::1").is_ok());
        assert!(rules.check_host("127.0.0.2").is_err());
        let loopback = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));
        assert!(rules.check_address("sqs.lab.example", loopback).is_ok());
        assert!(rules.check_address("lab.example", loopback).is_err());
        assert!(rules.check_address("evil-lab.example", loopback).is_err());
        assert!(Rules::new([], true).check_host("localhost").is_ok());
        assert!(Rules::new([], true).check_host("169.254.169.254").is_err());
        let mapped = rules.check_host("::ffff:127.0.0.1");
        assert!(mapped.is_ok(), "it is the address that is allowed");
    }

    #[test]
    fn an_address_that_may_be_called_may_not_see_our_identity_for_that() {
        use HostProof::{GivenRoots, Nothing, PublicRoots};
        let called = ["*.lab.example", "127.0.0.1"].map(str::to_owned);
        let shown = ["sqs.lab.example", "127.0.0.1"].map(str::to_owned);
        let rules = Rules::new(called, true).showing_identity(shown);
        for (host, is_of_aws, proof, fine) in [
            ("sqs.eu-west-1.amazonaws.com", true, PublicRoots, true),
            ("sqs.eu-west-1.amazonaws.com", true, GivenRoots, false),
            ("sqs.eu-west-1.amazonaws.com", true, Nothing, false),
            ("kafka.lab.example", false, PublicRoots, false),
            ("sqs.lab.example", false, PublicRoots, true),
            ("SQS.lab.example.", false, GivenRoots, true),
            ("sqs.lab.example", false, Nothing, false),
            ("127.0.0.1", false, Nothing, true),
            ("127.0.0.2", false, Nothing, false),
            ("localhost", false, PublicRoots, false),
        ] {
            let result = rules.check_identity(host, is_of_aws, proof);
            assert_eq!(result.is_ok(), fine, "{host} {proof:?}: {result:?}");
        }
        assert!(!rules.names("sqs.example") && rules.names("kafka.lab.example"));
    }

    #[test]
    fn only_sqs_itself_is_shown_our_credentials() {
        for host in [
            "sqs.eu-west-1.amazonaws.com",
            "sqs-fips.us-gov-west-1.amazonaws.com",
            "sqs.cn-north-1.amazonaws.com.cn",
            "eu-west-1.queue.amazonaws.com",
            "queue.amazonaws.com",
            "vpce-0a1b-2c3d.sqs.eu-west-1.vpce.amazonaws.com",
        ] {
            assert!(is_sqs_of_aws(host), "{host}");
        }
        for host in [
            "sqs.example.com",
            "sqs.us-east-1.api.aws",
            "sqs.eusc-de-east-1.amazonaws.eu",
            "amazonaws.com",
            "sqs.evilamazonaws.com",
            "sqs.s3.amazonaws.com",
            "sqs.s3-website-us-east-1.amazonaws.com",
            "ec2-1-2-3-4.compute-1.amazonaws.com",
            "sqs.evil.eu-west-1.elb.amazonaws.com",
            "sqs.eu-west-1.amazonaws.com.evil.example",
        ] {
            assert!(!is_sqs_of_aws(host), "{host}");
        }
    }

    #[test]
    fn only_brokers_of_msk_are_shown_our_credentials() {
        for host in [
            "b-1.orders.abc123.c2.kafka.eu-west-1.amazonaws.com",
            "boot-x1.c3.kafka-serverless.us-east-1.amazonaws.com",
        ] {
            assert!(is_msk_of_aws(host), "{host}");
        }
        for host in [
            "kafka.example.com",
            "kafka.eu-west-1.amazonaws.com",
            "b-1.kafka.s3.amazonaws.com",
            "b-1.kafka.eu-west-1.evil.example",
        ] {
            assert!(!is_msk_of_aws(host), "{host}");
        }
    }

    #[test]
    fn a_region_cannot_smuggle_a_host() {
        for region in ["eu-west-1", "us-gov-east-1", "ap-southeast-10"] {
            assert!(is_region(region), "{region}");
        }
        for region in [
            "",
            "evil.example/",
            "eu-west-1.evil",
            "a@b-c-1",
            "eu-west",
            "EU-WEST-1",
        ] {
            assert!(!is_region(region), "{region}");
        }
    }
}
