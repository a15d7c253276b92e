//! Which addresses a user's object may send us to.
//!
//! Any, except those that are inside our own machine or hand out its
//! credentials: loopback, link-local, metadata services. What the operator lists
//! with `--allow-address` is always right. And credentials of our own go only to
//! AWS, whoever asks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What the operator allows beyond the rule.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    allow: Vec<String>,
    allow_loopback: bool,
}

impl Rules {
    /// Rules from `--allow-address` patterns: a host or an IP address, or `*.` and a domain. `local` allows loopback.
    pub fn new(allow: impl IntoIterator<Item = String>, allow_loopback: bool) -> Self {
        let allow = allow.into_iter().map(|pattern| plain(&pattern)).collect();
        Self {
            allow,
            allow_loopback,
        }
    }

    /// Whether the operator named this host.
    pub fn names(&self, host: &str) -> bool {
        let host = plain(host);
        self.allow
            .iter()
            .any(|pattern| match pattern.strip_prefix("*.") {
                Some(domain) => host
                    .strip_suffix(domain)
                    .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
                None => *pattern == host,
            })
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
        let address = unwrapped(address);
        if self.names(host) || self.names(&address.to_string()) {
            return Ok(());
        }
        let kind = match address {
            _ if address.is_loopback() || address.is_unspecified() => {
                if self.allow_loopback {
                    return Ok(());
                }
                "a loopback address"
            }
            _ if is_metadata(address) => "the address of a metadata service",
            IpAddr::V4(v4) if v4.is_link_local() => "a link-local address",
            IpAddr::V6(v6) if v6.is_unicast_link_local() => "a link-local address",
            _ if address.is_multicast() => "a multicast address",
            IpAddr::V4(v4) if v4.is_broadcast() => "a broadcast address",
            _ => return Ok(()),
        };
        Err(format!(
            "{host} is {kind}, which needs `--allow-address {host}`"
        ))
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

/// What stands before one of the domains that AWS's own endpoints are in.
fn below_aws(host: &str) -> Option<&str> {
    const DOMAINS: [&str; 4] = [
        ".amazonaws.com",
        ".amazonaws.com.cn",
        ".amazonaws.eu",
        ".api.aws",
    ];
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

/// A host without case, brackets or the root's dot.
fn plain(host: &str) -> String {
    let host = host.trim().trim_end_matches('.').to_ascii_lowercase();
    host.strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .map_or(host.clone(), str::to_owned)
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

/// The IPv4 address that an IPv6 address stands for (mapped, or behind NAT64).
fn unwrapped(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return IpAddr::V4(v4);
    }
    match v6.octets() {
        [0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d] => {
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        _ => address,
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
    }

    #[test]
    fn only_sqs_itself_is_shown_our_credentials() {
        for host in [
            "sqs.eu-west-1.amazonaws.com",
            "sqs-fips.us-gov-west-1.amazonaws.com",
            "sqs.cn-north-1.amazonaws.com.cn",
            "sqs.us-east-1.api.aws",
            "eu-west-1.queue.amazonaws.com",
            "queue.amazonaws.com",
            "vpce-0a1b-2c3d.sqs.eu-west-1.vpce.amazonaws.com",
        ] {
            assert!(is_sqs_of_aws(host), "{host}");
        }
        for host in [
            "sqs.example.com",
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
