//! ipvsadm's order, which is no order at all: differences of unsigned numbers taken as signed ones.
//!
//! 192.168.0.1 comes before 10.0.0.1 since their difference wraps. The comparison is not transitive, so that
//! the result depends on the algorithm: that of glibc's qsort, a stable merge sort.

use std::net::{IpAddr, SocketAddr};

use crate::model::kernel::{ListedDestination, ListedService};
use crate::model::service::{Family, ServiceKey};

/// A service and its destinations in the order of a list.
#[derive(Clone, Debug)]
pub(super) struct Row<'a> {
    pub(super) listed: &'a ListedService,
    pub(super) destinations: Vec<&'a ListedDestination>,
}

/// The services in the kernel's order.
pub(super) fn unsorted(services: &[ListedService]) -> Vec<Row<'_>> {
    services
        .iter()
        .map(|listed| Row { listed, destinations: listed.destinations.iter().collect() })
        .collect()
}

/// The services in ipvsadm's order, each with its destinations in ipvsadm's order.
pub(super) fn sorted(services: &[ListedService]) -> Vec<Row<'_>> {
    let mut rows = merge_sort(unsorted(services), &|a, b| by_service(a.listed.key, b.listed.key));
    for row in &mut rows {
        let destinations = std::mem::take(&mut row.destinations);
        row.destinations = merge_sort(destinations, &|a, b| by_destination(a, b));
    }
    rows
}

/// By mark, family, protocol, address, port; an address has the mark 0, and a mark has zeros for an address.
fn by_service(a: ServiceKey, b: ServiceKey) -> i32 {
    let mark = |key| match key {
        ServiceKey::FwMark { mark, .. } => mark,
        ServiceKey::Address { .. } => 0,
    };
    let protocol = |key| match key {
        ServiceKey::FwMark { .. } => 0,
        ServiceKey::Address { protocol, .. } => u32::from(protocol.0),
    };
    let family = |key: ServiceKey| match key.family() {
        Family::V4 => 2,
        Family::V6 => 10,
    };
    let address = || match (a, b) {
        (ServiceKey::Address { address: a, .. }, ServiceKey::Address { address: b, .. }) => {
            by_address(a, b)
        }
        // Marks that are equal are the same service, and different ones never come here.
        (ServiceKey::FwMark { .. }, _) | (_, ServiceKey::FwMark { .. }) => 0,
    };
    let differences = [
        difference(mark(a), mark(b)),
        difference(family(a), family(b)),
        difference(protocol(a), protocol(b)),
    ];
    let first = differences.into_iter().find(|difference| *difference != 0);
    first.unwrap_or_else(address)
}

fn by_destination(a: &ListedDestination, b: &ListedDestination) -> i32 {
    by_address(a.key.0, b.key.0)
}

/// The family of the first one decides how many of the four words count.
fn by_address(a: SocketAddr, b: SocketAddr) -> i32 {
    let (left, right) = (words(a.ip()), words(b.ip()));
    let count = if a.is_ipv6() { 4 } else { 1 };
    let differences = left.iter().zip(right).take(count);
    let mut differences = differences.map(|(a, b)| difference(*a, b));
    differences
        .find(|difference| *difference != 0)
        .unwrap_or_else(|| i32::from(a.port()) - i32::from(b.port()))
}

/// An address as `union nf_inet_addr`: IPv4 in the first word, the others zero.
fn words(ip: IpAddr) -> [u32; 4] {
    match ip {
        IpAddr::V4(v4) => [u32::from(v4), 0, 0, 0],
        IpAddr::V6(v6) => {
            let [a, b, c, d, e, f, g, h] = v6.segments().map(u32::from);
            [a << 16 | b, c << 16 | d, e << 16 | f, g << 16 | h]
        }
    }
}

/// `a - b` as C has it for an unsigned difference in a signed variable.
const fn difference(a: u32, b: u32) -> i32 {
    a.wrapping_sub(b).cast_signed()
}

/// glibc's: halves of n/2 and the rest, the left one wins where it is not greater.
fn merge_sort<T>(mut items: Vec<T>, compare: &impl Fn(&T, &T) -> i32) -> Vec<T> {
    if items.len() < 2 {
        return items;
    }
    let right = items.split_off(items.len() / 2);
    let mut left = merge_sort(items, compare).into_iter().peekable();
    let mut right = merge_sort(right, compare).into_iter().peekable();
    let mut merged = Vec::with_capacity(left.len() + right.len());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let next = if compare(a, b) <= 0 { &mut left } else { &mut right };
        merged.extend(next.next());
    }
    merged.extend(left);
    merged.extend(right);
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_wrap_as_in_c() {
        let address = |text: &str| text.parse().unwrap();
        assert!(by_address(address("192.168.0.1:1"), address("10.0.0.1:1")) < 0);
        assert!(by_address(address("10.0.0.2:1"), address("10.0.0.1:9")) > 0);
        assert!(by_address(address("10.0.0.1:1"), address("10.0.0.1:9")) < 0);
        assert!(by_address(address("[2001:db8::2]:1"), address("[2001:db8::1]:9")) > 0);
    }

    #[test]
    fn the_first_ones_family_decides_how_much_is_compared() {
        let v4 = "32.1.13.184:5432".parse().unwrap();
        let v6 = "[2001:db8::1]:5432".parse().unwrap();
        assert_eq!(by_address(v4, v6), 0);
        assert!(by_address(v6, v4) > 0);
    }

    #[test]
    fn marks_come_after_addresses_and_families_count_before_protocols() {
        let key = |text: &str| ServiceKey::tcp(text.parse().unwrap());
        let mark = |family, mark| ServiceKey::FwMark { family, mark };
        assert!(by_service(key("10.0.0.1:1"), mark(Family::V4, 1)) < 0);
        assert!(by_service(key("10.0.0.1:1"), key("[::1]:1")) < 0);
        assert!(by_service(mark(Family::V4, 7), mark(Family::V6, 7)) < 0);
        assert!(by_service(mark(Family::V6, 3), mark(Family::V4, 7)) < 0);
    }

    #[test]
    fn equal_items_keep_their_order() {
        let items: Vec<_> = (0..100).map(|number| (number % 3, number)).collect();
        let sorted = merge_sort(items.clone(), &|a, b| a.0 - b.0);
        let mut expected = items;
        expected.sort_by_key(|item| item.0);
        assert_eq!(sorted, expected);
    }

    #[test]
    fn a_comparison_that_goes_round_in_circles_loses_nothing() {
        let circle: Vec<u32> = (0..48).map(|step| step * 0x0555_5555).collect();
        let mut sorted = merge_sort(circle.clone(), &|a, b| difference(*a, *b));
        sorted.sort_unstable();
        assert_eq!(sorted, circle);
    }
}
