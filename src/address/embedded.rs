//! IPv4 addresses inside IPv6 ones: pure.
//!
//! A gateway or the kernel may take such an address to the IPv4 address that it holds.

use std::iter;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address, and every IPv4 address that a network may take it for.
pub(super) fn meanings(address: IpAddr) -> impl Iterator<Item = IpAddr> {
    let inside = match address {
        IpAddr::V6(v6) => embedded(v6),
        IpAddr::V4(_) => Vec::new(),
    };
    iter::once(address).chain(inside.into_iter().map(IpAddr::V4))
}

/// Mapped, compatible and translated addresses (RFC 4291, RFC 2765), 6to4 (RFC 3056), Teredo (RFC 4380), NAT64 (RFC 6052, RFC 8215).
fn embedded(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let octets = address.octets();
    let at = |places: [usize; 4]| Ipv4Addr::from(places.map(|place| octets[place]));
    let last = at([12, 13, 14, 15]);
    match address.segments() {
        // `::` and `::1` are themselves.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Vec::new(),
        [0, 0, 0, 0, 0, 0 | 0xffff, _, _]
        | [0, 0, 0, 0, 0xffff, 0, _, _]
        | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => vec![last],
        // A network's own prefix: where its IPv4 address stands follows from a length that only the network knows.
        [0x64, 0xff9b, 1, ..] => {
            let places = [[6, 7, 9, 10], [7, 9, 10, 11], [9, 10, 11, 12]].map(at);
            let possible = places.into_iter().chain([last]);
            possible.filter(|v4| !v4.is_unspecified()).collect()
        }
        [0x2002, ..] => vec![at([2, 3, 4, 5])],
        [0x2001, 0, ..] => vec![Ipv4Addr::from(last.octets().map(|octet| !octet))],
        _ => Vec::new(),
    }
}
