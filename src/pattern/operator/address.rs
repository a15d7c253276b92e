//! IP addresses and ranges of them.
//!
//! What counts as an address is Java's `InetAddress` for literals: four decimal parts, zeros in front
//! allowed, at most 15 characters; or IPv6 without dots, where a mapped IPv4 address is the IPv4 one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest text of an IPv4 address. Source: `IPAddressUtil.textToNumericFormatV4`.
const LONGEST_V4: usize = 15;

/// The address that a string says; `None` if it says none.
pub(in crate::pattern) fn address(text: &str) -> Option<IpAddr> {
    // Most strings are told apart by their first character.
    let first = *text.as_bytes().first()?;
    if first.is_ascii_digit()
        && let Some(address) = v4(text)
    {
        return Some(IpAddr::V4(address));
    }
    if first.is_ascii_hexdigit() || first == b':' {
        return v6(text);
    }
    None
}

fn v4(text: &str) -> Option<Ipv4Addr> {
    if text.len() > LONGEST_V4 {
        return None;
    }
    let mut parts = [0_u8; 4];
    let mut written = text.split('.');
    for part in &mut parts {
        let digits = written.next()?;
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *part = digits.parse().ok()?;
    }
    written.next().is_none().then(|| Ipv4Addr::from(parts))
}

fn v6(text: &str) -> Option<IpAddr> {
    if !is_v6_like(text) {
        return None;
    }
    let address: Ipv6Addr = text.parse().ok()?;
    Some(
        address
            .to_ipv4_mapped()
            .map_or(IpAddr::V6(address), IpAddr::V4),
    )
}

fn is_v6_like(text: &str) -> bool {
    text.contains(':')
        && text
            .bytes()
            .all(|byte| byte == b':' || byte.is_ascii_hexdigit())
}

fn is_v4_like(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split('.').count() == 4 && text.split('.').all(is_number)
}

/// A network: addresses that share their first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::pattern) struct Cidr {
    network: IpAddr,
    mask_bits: u8,
}

impl Cidr {
    /// Reads `ADDRESS/BITS`; bits of the address behind the mask are ignored.
    ///
    /// # Errors
    ///
    /// AWS's text, if it is none, or its mask leaves only one address (`/32`, `/128`).
    pub(in crate::pattern) fn parse(text: &str) -> Result<Self, String> {
        // Java's `split` drops empty parts at the end.
        let parts: Vec<&str> = text.trim_end_matches('/').split('/').collect();
        let &[ip, mask] = parts.as_slice() else {
            return Err("Malformed CIDR, one '/' required".to_owned());
        };
        let mask: i32 = mask
            .parse()
            .map_err(|_| "Malformed CIDR, mask bits must be an integer".to_owned())?;
        if mask < 0 {
            return Err("Malformed CIDR, mask bits must not be negative".to_owned());
        }
        let Some(network) = address(ip) else {
            let looks_right = is_v4_like(ip) || is_v6_like(ip);
            let what = if looks_right {
                "Invalid"
            } else {
                "Nonstandard"
            };
            return Err(format!("{what} IP address: {ip}"));
        };
        let (limit, family) = match network {
            IpAddr::V4(_) => (32, "IPv4"),
            IpAddr::V6(_) => (128, "IPv6"),
        };
        let mask_bits = u8::try_from(mask).ok().filter(|mask| *mask < limit);
        let mask_bits = mask_bits.ok_or(format!("{family} mask bits must be < {limit}"))?;
        Ok(Self {
            network: masked(network, mask_bits),
            mask_bits,
        })
    }

    /// The network of that size around an address; `None` if its family has no such mask.
    pub(in crate::pattern) fn around(address: IpAddr, mask_bits: u8) -> Option<Self> {
        let most = if address.is_ipv4() { 32 } else { 128 };
        (mask_bits < most).then(|| Self {
            network: masked(address, mask_bits),
            mask_bits,
        })
    }

    pub(in crate::pattern) fn mask_bits(self) -> u8 {
        self.mask_bits
    }

    pub(in crate::pattern) fn contains(self, address: IpAddr) -> bool {
        self.network.is_ipv4() == address.is_ipv4()
            && masked(address, self.mask_bits) == self.network
    }
}

fn masked(address: IpAddr, mask_bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(mask_bits)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from(u32::from(address) & mask))
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX
                .checked_shl(128 - u32::from(mask_bits))
                .unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(address) & mask))
        }
    }
}
