//! An address with a port, or several of them in one text: `10.9.0.100-110:5432`, `[2001:db8::10-1f]:5432`.
//!
//! Only what the text stands for; whether the kernel can serve such addresses is judged elsewhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// At most so many addresses of one `[[service]]`.
pub(super) const MAX_ADDRESSES: usize = 4096;

/// One address or more, which differ in their last part only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    first: SocketAddr,
    /// The last part of the last address; `None` for a single address.
    last: Option<u16>,
}

/// Why a text is no range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRange {
    /// It is something else altogether.
    Unread,
    /// Its end comes before its beginning.
    Backwards,
    /// Its end is a whole address.
    WholeEnd,
}

impl Range {
    /// The addresses that a text stands for.
    pub(super) fn parse(text: &str) -> Result<Self, NoRange> {
        if let Ok(first) = text.parse() {
            return Ok(Self { first, last: None });
        }
        let (host, port) = text.rsplit_once(':').ok_or(NoRange::Unread)?;
        let port = port.parse().map_err(|_| NoRange::Unread)?;
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let (from, to) = inner.unwrap_or(host).split_once('-').ok_or(NoRange::Unread)?;
        let (first, from, to) = match inner {
            Some(_) => ends::<Ipv6Addr>(from, to, 16)?,
            None => ends::<Ipv4Addr>(from, to, 10)?,
        };
        if to < from {
            return Err(NoRange::Backwards);
        }
        Ok(Self { first: SocketAddr::new(first, port), last: Some(to) })
    }

    /// The first and the last address.
    pub(super) fn ends(self) -> impl Iterator<Item = SocketAddr> {
        let mut last = self.first;
        if let Some(part) = self.last {
            last.set_ip(with_last_part(last.ip(), part));
        }
        [self.first, last].into_iter()
    }

    /// Every address, in order.
    pub(super) fn addresses(self) -> impl Iterator<Item = SocketAddr> {
        let from = last_part(self.first.ip());
        (from..=self.last.unwrap_or(from)).map(move |part| {
            let mut address = self.first;
            // A single address keeps what else it carries.
            if self.last.is_some() {
                address.set_ip(with_last_part(address.ip(), part));
            }
            address
        })
    }
}

/// The first address, its last part, and the last part of the last one.
fn ends<T: std::str::FromStr + Into<IpAddr>>(
    from: &str,
    to: &str,
    radix: u32,
) -> Result<(IpAddr, u16, u16), NoRange> {
    let first: IpAddr = from.parse::<T>().map_err(|_| NoRange::Unread)?.into();
    if to.parse::<IpAddr>().is_ok() {
        return Err(NoRange::WholeEnd);
    }
    let is_plain = to.bytes().all(|byte| byte.is_ascii_hexdigit());
    let to = u16::from_str_radix(to, radix).ok().filter(|_| is_plain).ok_or(NoRange::Unread)?;
    if first.is_ipv4() && to > 255 {
        return Err(NoRange::Unread);
    }
    Ok((first, last_part(first), to))
}

const fn last_part(ip: IpAddr) -> u16 {
    match ip {
        IpAddr::V4(v4) => {
            let [.., last] = v4.octets();
            u16::from_be_bytes([0, last])
        }
        IpAddr::V6(v6) => {
            let [.., last] = v6.segments();
            last
        }
    }
}

const fn with_last_part(ip: IpAddr, part: u16) -> IpAddr {
    match ip {
        IpAddr::V4(v4) => {
            let ([a, b, c, _], [_, last]) = (v4.octets(), part.to_be_bytes());
            IpAddr::V4(Ipv4Addr::new(a, b, c, last))
        }
        IpAddr::V6(v6) => {
            let [a, b, c, d, e, f, g, _] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, part))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<String> {
        Range::parse(text).unwrap().addresses().map(|address| address.to_string()).collect()
    }

    #[test]
    fn a_range_is_every_address_between_its_ends() {
        assert_eq!(all("10.9.0.100:5432"), ["10.9.0.100:5432"]);
        assert_eq!(
            all("10.9.0.100-102:5432"),
            ["10.9.0.100:5432", "10.9.0.101:5432", "10.9.0.102:5432"]
        );
        assert_eq!(all("10.9.0.7-7:0"), ["10.9.0.7:0"]);
        assert_eq!(
            all("[2001:db8::e-10]:5432"),
            ["[2001:db8::e]:5432", "[2001:db8::f]:5432", "[2001:db8::10]:5432"]
        );
        assert_eq!(all("[2001:db8::0-ffff]:1").len(), 65_536);
    }

    #[test]
    fn what_is_no_range_says_why() {
        for (text, why) in [
            ("10.9.0.100-99:5432", NoRange::Backwards),
            ("[2001:db8::10-f]:5432", NoRange::Backwards),
            ("10.9.0.1-10.9.0.9:5432", NoRange::WholeEnd),
            ("[2001:db8::1-2001:db8::9]:5432", NoRange::WholeEnd),
            ("10.9.0.1-256:5432", NoRange::Unread),
            ("10.9.0.1-+9:5432", NoRange::Unread),
            ("10.9.0.1-:5432", NoRange::Unread),
            ("10.9.0.1-9", NoRange::Unread),
            ("10.9.0-9:5432", NoRange::Unread),
            ("pg-1:5432", NoRange::Unread),
            ("", NoRange::Unread),
        ] {
            assert_eq!(Range::parse(text), Err(why), "{text}");
        }
    }
}
