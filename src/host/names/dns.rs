//! The name of an address from DNS (RFC 1035, PTR): one question, the name servers of /etc/resolv.conf, a deadline.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

const PORT: u16 = 53;
/// Type PTR, class IN.
const PTR: [u8; 4] = [0, 12, 0, 1];

/// The first name; `None` if there is none, or none in time.
pub(super) fn name(address: IpAddr, limit: Duration) -> Option<String> {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let servers = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let mut servers: Vec<IpAddr> = servers.filter_map(|it| it.trim().parse().ok()).collect();
    if servers.is_empty() {
        servers.push(Ipv4Addr::LOCALHOST.into());
    }
    let end = Instant::now() + limit;
    let question = question(address);
    // Each server has its share of what is left, so that a silent one does not keep the next from being asked.
    for (server, waiting) in servers.iter().zip((1..=servers.len()).rev()) {
        let left = end.saturating_duration_since(Instant::now());
        let share = left.checked_div(u32::try_from(waiting).ok()?)?;
        if share < Duration::from_millis(1) {
            return None;
        }
        if let Ok(answer) = ask(SocketAddr::new(*server, PORT), &question, share) {
            return first_name(&answer);
        }
    }
    None
}

fn ask(server: SocketAddr, question: &[u8], limit: Duration) -> io::Result<Vec<u8>> {
    let any = if server.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(limit))?;
    socket.send(question)?;
    let mut answer = vec![0; 1500];
    // The kernel delivers answers of this server alone, and there is one question to a socket.
    let length = socket.recv(&mut answer)?;
    answer.truncate(length);
    Ok(answer)
}

/// The question for the name below in-addr.arpa or ip6.arpa.
fn question(address: IpAddr) -> Vec<u8> {
    let labels: Vec<String> = match address {
        IpAddr::V4(v4) => {
            let bytes = v4.octets().into_iter().rev().map(|byte| byte.to_string());
            bytes.chain(["in-addr".into(), "arpa".into()]).collect()
        }
        IpAddr::V6(v6) => {
            let bytes = v6.octets().into_iter().rev();
            let digits = bytes.flat_map(|byte| [byte & 15, byte >> 4]);
            let digits = digits.map(|digit| format!("{digit:x}"));
            digits.chain(["ip6".into(), "arpa".into()]).collect()
        }
    };
    // Identifier 1, recursion desired, one question.
    let mut message = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in labels {
        message.extend(u8::try_from(label.len()));
        message.extend(label.as_bytes());
    }
    message.push(0);
    message.extend(PTR);
    message
}

/// The name in the first PTR record of an answer.
fn first_name(answer: &[u8]) -> Option<String> {
    let count = |at: usize| Some(u16::from_be_bytes(answer.get(at..at + 2)?.try_into().ok()?));
    let (questions, answers) = (count(4)?, count(6)?);
    let mut at = 12;
    for _ in 0..questions {
        at = name_at(answer, at)?.1 + 4;
    }
    for _ in 0..answers {
        at = name_at(answer, at)?.1;
        let is_ptr = answer.get(at..at + 4)? == PTR;
        let length = usize::from(count(at + 8)?);
        if is_ptr {
            return Some(name_at(answer, at + 10)?.0).filter(|name| is_name(name));
        }
        at += 10 + length;
    }
    None
}

/// A name and where it ends, pointers followed.
fn name_at(message: &[u8], mut at: usize) -> Option<(String, usize)> {
    let (mut labels, mut end) = (Vec::new(), None);
    // No name has more labels than this, and so a circle ends.
    for _ in 0..128 {
        let length = *message.get(at)?;
        if length >= 0xc0 {
            end = end.or(Some(at + 2));
            at = usize::from(length & 0x3f) << 8 | usize::from(*message.get(at + 1)?);
            continue;
        }
        let from = at + 1;
        at = from + usize::from(length);
        if length == 0 {
            return Some((labels.join("."), end.unwrap_or(at)));
        }
        labels.push(String::from_utf8_lossy(message.get(from..at)?).into_owned());
    }
    None
}

/// What a name server says ends on somebody's terminal.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_found_behind_the_question_and_an_alias() {
        let mut answer = question("10.0.0.1".parse().unwrap());
        answer[7] = 2;
        // An alias (CNAME) first, then the record itself, both with a pointer to the question's name.
        answer.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 2, 0xc0, 12]);
        answer.extend([0xc0, 12, 0, 12, 0, 1, 0, 0, 0, 9, 0, 6, 3, b'p', b'g', b'1', 0xc0, 29]);
        assert_eq!(first_name(&answer).unwrap(), "pg1.arpa");
        for end in 0..answer.len() {
            assert_eq!(first_name(&answer[..end]), None, "{end}");
        }
    }

    #[test]
    fn a_name_that_goes_round_in_circles_is_none() {
        let mut answer = question("2001:db8::1".parse().unwrap());
        answer[7] = 1;
        let here = u8::try_from(answer.len()).unwrap();
        answer.extend([0xc0, here, 0, 12, 0, 1, 0, 0, 0, 9, 0, 2, 0xc0, here]);
        assert_eq!(first_name(&answer), None);
    }

    #[test]
    fn names_with_control_characters_are_none() {
        assert!(is_name("pg1.example"));
        assert!(!is_name("pg1\u{1b}[2J"));
    }
}
