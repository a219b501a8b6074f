//! What keepalived's checks become: PostgreSQL itself is asked, where it is PostgreSQL that they looked after.

use super::super::guess;
use super::super::ledger::{Report, Statement};
use super::super::plan::Postgres;
use super::real::Real;

const CHECKS: [&str; 10] = [
    "tcp_check",
    "http_get",
    "ssl_get",
    "misc_check",
    "smtp_check",
    "dns_check",
    "ping_check",
    "udp_check",
    "bfd_check",
    "file_check",
];

/// How a pool is asked, and who may serve.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) probe: Postgres,
    pub(super) target: &'static str,
    /// A word on the target.
    pub(super) why: String,
}

/// The checks of a real server.
pub(super) fn of<'a>(real: &'a Real<'_>) -> impl Iterator<Item = &'a Statement> {
    real.line.block.iter().filter(|it| CHECKS.contains(&&*it.keyword()))
}

/// What the checks of a virtual server become; `None` where nothing here asks what they asked.
///
/// `names` may say that PostgreSQL is behind it.
pub(super) fn asked(
    line: &Statement,
    reals: &[Real<'_>],
    names: &[&str],
    report: &mut Report,
) -> Option<Asked> {
    let checks: Vec<&Statement> = reals.iter().flat_map(of).collect();
    let scripts = checks.iter().filter_map(|it| it.last("misc_path")).map(|it| it.word(1));
    let names = names.iter().copied().chain(scripts);
    let is_known = guess::is_postgres(reals.iter().map(|it| it.address), names);
    let http = checks.iter().find_map(|check| http(check, is_known));
    let is_asked = |check: &&Statement| matches!(&*check.keyword(), "tcp_check" | "misc_check");
    if http.is_none() && !(is_known && checks.iter().any(is_asked)) {
        return None;
    }
    for check in &checks {
        let is_http = self::http(check, is_known).is_some_and(|it| Some(it) == http);
        if is_http {
            take_http(check);
        } else if is_asked(check) {
            check.take_all();
        }
    }
    let (target, why) = match http {
        Some((path, asked)) => {
            if !asked.beyond.is_empty() {
                let why =
                    format!("beyond the role it asked for {}, which has no key here", asked.beyond);
                report.note(line, path, why);
            }
            (asked.target, format!("path {path}"))
        }
        None => (
            "any",
            "the checks asked for no role; it may be primary, standby, prefer-standby".to_owned(),
        ),
    };
    let mut probe = Postgres { fall: fall(line, reals), ..Postgres::default() };
    if reals.iter().any(|it| it.address.port() == guess::POOLER) {
        probe.said.push(guess::POOLER_SAID.to_owned());
    }
    Some(Asked { probe, target, why })
}

/// The path of Patroni's that a check asks for.
fn http(check: &Statement, is_known: bool) -> Option<(&str, guess::Asked)> {
    if !matches!(&*check.keyword(), "http_get" | "ssl_get") {
        return None;
    }
    let path = check.last("url")?.last("path")?.word(1);
    let is_patronis = is_known || !matches!(path, "" | "/" | "/health");
    guess::patroni(path).filter(|_| is_patronis).map(|asked| (path, asked))
}

fn take_http(check: &Statement) {
    check.take_all();
    let Some(url) = check.last("url") else {
        return;
    };
    url.take_all();
    url.last("path").into_iter().for_each(|it| it.take_words(0..2));
    let fine = url.last("status_code").filter(|it| it.word(1) == "200" && it.len() == 2);
    fine.into_iter().for_each(Statement::take_all);
}

/// `retry` in a check, its server or the virtual server: a check that may fail so often before it counts.
fn fall(line: &Statement, reals: &[Real<'_>]) -> Option<u32> {
    let retry = |real: &Real<'_>| -> Option<u32> {
        let own = of(real).find_map(retries);
        let found = own.or_else(|| real.line.last("retry")).or_else(|| line.last("retry"))?;
        found.word(1).parse().ok().filter(|it| *it < 100)
    };
    let mut all = reals.iter().map(retry);
    let first = all.next()??;
    if !all.all(|it| it == Some(first)) {
        return None;
    }
    let is_it = |it: &&Statement| it.word(1).parse() == Ok(first);
    for real in reals {
        let own = of(real).filter_map(retries).chain(real.line.last("retry"));
        own.filter(is_it).for_each(|it| it.take_words(0..2));
    }
    line.last("retry").filter(is_it).into_iter().for_each(|it| it.take_words(0..2));
    Some(first + 1)
}

/// `retry` of a check, or what HTTP_GET called it before.
fn retries(check: &Statement) -> Option<&Statement> {
    check.last("retry").or_else(|| check.last("nb_get_retry"))
}
