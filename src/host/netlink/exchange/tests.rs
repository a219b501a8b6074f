//! The exchange against a transport that plays the kernel, its failures included.

use std::collections::VecDeque;

use super::*;
use crate::host::netlink::fake::{
    Sent, acknowledge, answered, done, error, family, message, refuse, requests_in,
};
use crate::model::service::{Family, Scheduler, Service, ServiceKey};

#[test]
fn errors_in_the_middle_of_a_batch_are_those_of_their_requests() {
    let mut exchange = exchange(|sent| {
        let [_, dup, bad, last] = &sent[..] else {
            panic!("one batch: {sent:?}");
        };
        vec![Ok([refuse(dup, 17), refuse(bad, 2), acknowledge(last)].concat())]
    });
    assert_eq!(
        exchange.apply(&ops(4)).unwrap(),
        [Ok(()), Err(Errno::EEXIST), Err(Errno::ENOENT), Ok(())]
    );
}

#[test]
fn only_the_last_request_of_a_batch_asks_for_an_acknowledgement() {
    let mut exchange = exchange(|sent| {
        let flags: Vec<_> = sent.iter().map(|it| it.flags).collect();
        assert_eq!(flags, [1, 1, 5]);
        vec![Ok(acknowledge(&sent[2]))]
    });
    assert_eq!(exchange.apply(&ops(3)).unwrap(), [Ok(()); 3]);
}

#[test]
fn a_refused_last_request_ends_its_batch() {
    let mut exchange = exchange(|sent| vec![Ok(refuse(&sent[1], 3))]);
    assert_eq!(exchange.apply(&ops(2)).unwrap(), [Ok(()), Err(Errno::ESRCH)]);
}

#[test]
fn many_changes_go_in_batches_of_at_most_256() {
    let mut exchange = exchange(|sent| {
        assert!(sent.len() <= 256);
        vec![Ok(acknowledge(sent.last().unwrap()))]
    });
    assert_eq!(exchange.apply(&ops(600)).unwrap(), vec![Ok(()); 600]);
    assert_eq!(exchange.transport().batches, [1, 256, 256, 88]);
}

#[test]
fn a_batch_that_is_too_long_for_the_socket_is_sent_in_smaller_ones() {
    let mut exchange = exchange(|sent| vec![Ok(acknowledge(sent.last().unwrap()))]);
    exchange.transport().longest = 2000;
    assert_eq!(exchange.apply(&ops(100)).unwrap(), vec![Ok(()); 100]);
    exchange.transport().longest = 50;
    assert_eq!(exchange.apply(&ops(3)).unwrap(), [Err(Errno::EMSGSIZE); 3]);
}

#[test]
fn lost_replies_make_the_result_unknown_and_leave_nothing_behind() {
    let mut first = true;
    let mut exchange = exchange(move |sent| {
        let replies = sent.iter().map(|it| Ok(refuse(it, 17)));
        if std::mem::take(&mut first) {
            return std::iter::once(Err(error(libc::ENOBUFS))).chain(replies).collect();
        }
        replies.collect()
    });
    assert!(matches!(exchange.apply(&ops(5)), Err(Failure::Lost)));
    assert!(exchange.transport().waiting.is_empty());
    assert_eq!(exchange.apply(&ops(2)).unwrap(), [Err(Errno::EEXIST); 2]);
}

#[test]
fn a_late_reply_is_never_taken_for_that_of_another_request() {
    let mut late: Vec<Vec<u8>> = Vec::new();
    let mut exchange = exchange(move |sent| {
        if late.is_empty() {
            late = sent.iter().map(|it| refuse(it, 17)).collect();
            return Vec::new();
        }
        let late = late.iter().cloned().map(Ok);
        late.chain([Ok(acknowledge(sent.last().unwrap()))]).collect()
    });
    assert!(matches!(exchange.apply(&ops(3)), Err(Failure::Silent)));
    assert_eq!(exchange.apply(&ops(3)).unwrap(), [Ok(()); 3]);
}

#[test]
fn late_replies_are_not_even_read() {
    let mut exchange = exchange(|sent| {
        let late = message(&Sent::numbered(999), 31, &[1, 1, 0, 0, 9, 9, 9, 9]);
        vec![Ok([late, done(&sent[0])].concat())]
    });
    assert_eq!(exchange.dump(&Request::services()).unwrap(), []);
}

#[test]
fn sequence_numbers_may_wrap() {
    let mut exchange =
        exchange(|sent| vec![Ok([refuse(&sent[1], 17), acknowledge(&sent[3])].concat())]);
    exchange.sequence = u32::MAX - 2;
    assert_eq!(exchange.apply(&ops(4)).unwrap(), [Ok(()), Err(Errno::EEXIST), Ok(()), Ok(())]);
}

#[test]
fn a_datagram_that_did_not_fit_makes_the_result_unknown() {
    let mut exchange = exchange(|sent| vec![Ok(acknowledge(&sent[0]))]);
    exchange.transport().cut = Some(20);
    assert!(matches!(exchange.apply(&ops(1)), Err(Failure::Truncated(36))));
}

#[test]
fn bytes_that_are_no_message_are_an_error() {
    let mut exchange = exchange(|_| vec![Ok(vec![1, 2, 3])]);
    assert!(matches!(exchange.apply(&ops(1)), Err(Failure::Decode(_))));
}

#[test]
fn a_busy_dump_is_tried_once_more_with_an_empty_socket() {
    let mut busy = true;
    let mut exchange = exchange(move |sent| {
        if std::mem::take(&mut busy) {
            return vec![Ok(refuse(&sent[0], 16)), Ok(done(&Sent::numbered(99)))];
        }
        vec![Ok(done(&sent[0]))]
    });
    assert_eq!(exchange.dump(&Request::services()).unwrap(), []);
    assert!(exchange.transport().waiting.is_empty());
}

#[test]
fn a_module_that_was_loaded_anew_is_found_under_its_new_number() {
    let mut exchange = exchange(|sent| match sent[0].kind {
        16 => vec![Ok(family(&sent[0], 31))],
        31 => vec![Ok(done(&sent[0]))],
        _ => vec![Ok(refuse(&sent[0], 2))],
    });
    assert_eq!(exchange.family, 31);
    exchange.family = 28;
    assert_eq!(exchange.dump(&Request::services()).unwrap(), []);
    assert_eq!(exchange.family, 31);
}

#[test]
fn changes_under_way_while_the_module_is_loaded_anew_are_carried_out_there() {
    let mut exchange = exchange(|sent| match sent[0].kind {
        16 => vec![Ok(family(&sent[0], 31))],
        31 => vec![Ok([refuse(&sent[0], 17), acknowledge(&sent[1])].concat())],
        _ => sent.iter().map(|it| Ok(refuse(it, 2))).collect(),
    });
    exchange.family = 28;
    assert_eq!(exchange.apply(&ops(2)).unwrap(), [Err(Errno::EEXIST), Ok(())]);
}

#[test]
fn changes_whose_scheduler_is_unknown_are_not_sent_again() {
    let mut exchange = exchange(|sent| match sent[0].kind {
        16 => vec![Ok(family(&sent[0], 31))],
        _ => sent.iter().map(|it| Ok(refuse(it, 2))).collect(),
    });
    assert_eq!(exchange.apply(&ops(2)).unwrap(), [Err(Errno::ENOENT); 2]);
    assert_eq!(exchange.transport().batches, [1, 2, 1]);
}

#[test]
fn changes_for_a_module_that_is_gone_fail_as_a_whole() {
    let mut exchange = exchange(|sent| sent.iter().map(|it| Ok(refuse(it, 2))).collect());
    assert!(matches!(exchange.apply(&ops(3)), Err(Failure::NoIpvs)));
}

#[test]
fn a_dead_socket_is_replaced_and_what_was_under_way_stays_unknown() {
    let mut exchange = exchange(|sent| match sent.last().unwrap() {
        last if last.flags == 0x301 => vec![Ok(done(last))],
        last => vec![Ok(acknowledge(last))],
    });
    for errno in [libc::EBADF, libc::ENOTCONN, libc::EPERM, libc::ENOMEM] {
        exchange.transport().dead = Some(errno);
        let before = exchange.transport().reopened;
        assert!(matches!(exchange.apply(&ops(2)), Err(Failure::Socket(_))), "{errno}");
        assert_eq!(exchange.dump(&Request::services()).unwrap(), []);
        exchange.transport().dead = Some(errno);
        assert!(matches!(exchange.dump(&Request::services()), Err(Failure::Socket(_))));
        assert_eq!(exchange.apply(&ops(2)).unwrap(), [Ok(()); 2]);
        assert_eq!(exchange.transport().reopened, before + 2);
    }
}

#[test]
fn a_socket_on_which_nothing_comes_is_replaced() {
    let mut exchange = exchange(|_| Vec::new());
    assert!(matches!(exchange.apply(&ops(1)), Err(Failure::Silent)));
    assert_eq!(exchange.transport().reopened, 1);
}

#[test]
fn a_module_that_is_gone_is_named() {
    let mut exchange = exchange(|sent| vec![Ok(refuse(&sent[0], 2))]);
    let failure = exchange.dump(&Request::services()).unwrap_err();
    let text = failure.while_doing("read the services").to_string();
    assert!(text.contains("modprobe ip_vs"), "{text}");
}

#[test]
fn an_interrupted_dump_is_an_error_and_not_a_short_table() {
    let mut exchange = exchange(|sent| vec![Ok(refuse(&sent[0], 4))]);
    let failure = exchange.dump(&Request::services()).unwrap_err();
    assert!(matches!(failure, Failure::Refused(Errno(4))), "{failure:?}");
}

/// An exchange with a kernel that answers every send by these datagrams, after it has told its family.
fn exchange(
    mut kernel: impl FnMut(Vec<Sent>) -> Vec<io::Result<Vec<u8>>> + Send + 'static,
) -> Exchange<crate::host::netlink::fake::Fake> {
    let mut resolved = false;
    let fake = answered(move |bytes| {
        let sent = requests_in(bytes);
        if !std::mem::replace(&mut resolved, true) {
            return VecDeque::from([Ok(family(&sent[0], 31))]);
        }
        kernel(sent).into()
    });
    Exchange::new(fake).unwrap()
}

fn ops(count: u16) -> Vec<Op> {
    let op = |port| {
        let key = ServiceKey::tcp(([10, 0, 0, 1], port).into());
        Op::AddService(key, Service::plain(Scheduler::new("rr").unwrap(), Family::V4))
    };
    (1..=count).map(op).collect()
}
