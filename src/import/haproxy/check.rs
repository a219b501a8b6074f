//! What HAProxy's checks ask, and so who may serve: `pgsql-check`, Patroni's REST API, scripts that name a role.
//!
//! Takes the lines that are understood whole; the others stay unread.

use super::super::guess::{self, Asked};
use super::super::ledger::{Report, Statement};
use super::section::Proxy;

/// Options that say how servers are checked; of several the last one holds.
const CHECKS: [&str; 10] = [
    "pgsql-check",
    "httpchk",
    "tcp-check",
    "mysql-check",
    "redis-check",
    "smtpchk",
    "ldap-check",
    "ssl-hello-chk",
    "external-check",
    "spop-check",
];

/// What a section's checks say of its servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Check {
    /// Whether they can only be meant for PostgreSQL.
    pub(super) is_postgres: bool,
    /// Whether PostgreSQL can be asked instead.
    pub(super) is_kept: bool,
    pub(super) user: Option<String>,
    pub(super) target: &'static str,
    /// The lines that said so.
    pub(super) said: String,
}

impl Check {
    fn new(is_kept: bool) -> Self {
        let (user, said) = (None, String::new());
        Self { is_postgres: false, is_kept, user, target: "any", said }
    }
}

/// The check of a section; what is understood is taken once `is_known` servers of PostgreSQL are behind it.
pub(super) fn check(proxy: Proxy<'_>, is_known: bool, report: &mut Report) -> Check {
    let is_check = |line: &&Statement| line.word(0) == "option" && CHECKS.contains(&line.word(1));
    let Some(option) = proxy.lines().rev().find(is_check) else {
        return Check::new(true);
    };
    match option.word(1) {
        "pgsql-check" => pgsql(option),
        "httpchk" => http(proxy, option, is_known, report),
        "tcp-check" if is_known => scripted(proxy, option, report),
        "tcp-check" => Check::new(true),
        _ => Check::new(false),
    }
}

fn pgsql(option: &Statement) -> Check {
    option.take_words(0..2);
    let mut check = Check { is_postgres: true, ..Check::new(true) };
    if option.word(2) == "user" && option.len() > 3 {
        option.take_words(2..4);
        check.user = Some(option.word(3).to_owned());
    }
    check
}

fn http(proxy: Proxy<'_>, option: &Statement, is_known: bool, report: &mut Report) -> Check {
    let send = proxy.last(&["http-check", "send"]);
    let uri = send.and_then(|line| (2..line.len()).find(|at| line.word(*at) == "uri").zip(send));
    let at = if option.word(2).starts_with('/') { 2 } else { 3 };
    let path = match uri {
        Some((at, line)) => line.word(at + 1),
        None => option.word(at),
    };
    let asked = guess::patroni(path);
    // `/` alone may be asked of any web server.
    let is_postgres = asked.is_some() && !matches!(path, "" | "/" | "/health");
    let Some(asked) = asked.filter(|_| is_known || is_postgres) else {
        if is_known {
            let why =
                "what this asks is not known; every server may serve until you narrow the target";
            report.hand(option, why);
        }
        return Check { is_kept: is_known, ..Check::new(is_known) };
    };
    let said = match uri {
        Some((at, line)) => {
            option.take_words(0..2);
            line.take_words(0..2);
            line.take_words(at..at + 2);
            take_method(line);
            line_of(line)
        }
        None => {
            option.take_words(0..at + 1);
            line_of(option)
        }
    };
    if !asked.beyond.is_empty() {
        let why = format!("beyond the role it asked for {}, which has no key here", asked.beyond);
        report.note(option, path, why);
    }
    let is_bare = matches!(path, "" | "/");
    let (target, answer) = expected(proxy, asked, is_bare, report);
    Check { is_postgres, said: said + &answer, target, ..Check::new(true) }
}

/// `http-check send meth GET`.
fn take_method(line: &Statement) {
    if let Some(at) = (2..line.len()).find(|at| line.word(*at) == "meth") {
        line.take_words(at..at + 2);
    }
}

/// Who may serve, after the answer that is expected, and a word on an answer that is not the usual one; `is_bare`: no
/// path was asked for.
fn expected(
    proxy: Proxy<'_>,
    asked: Asked,
    is_bare: bool,
    report: &mut Report,
) -> (&'static str, String) {
    let usual = (asked.target, String::new());
    let Some(line) = proxy.last(&["http-check", "expect"]) else {
        return usual;
    };
    let (is_not, at) = if line.word(2) == "!" { (true, 3) } else { (false, 2) };
    let other = match asked.target {
        "primary" => "standby",
        "standby" => "primary",
        _ => "any",
    };
    let target = match (line.word(at), line.word(at + 1), is_not) {
        ("status", "200", false) => {
            line.take_words(0..at + 2);
            return usual;
        }
        ("status", "503", true) => asked.target,
        ("status", "503", false) | ("status", "200", true) if other != "any" => other,
        // What scripts beside PostgreSQL answer for a standby.
        ("status", "206", false) if other != "any" => "standby",
        // Scripts have words of their own, whatever the path.
        ("string" | "rstring", text, false) if guess::role(text).is_some() => {
            guess::role(text).unwrap_or(asked.target)
        }
        ("string" | "rstring", _, _) if is_bare => {
            report.hand(line, "what this answer means is not known; every server may serve until you narrow the target");
            return ("any", String::new());
        }
        _ => {
            report.hand(line, "what this answer means is not known; look at the target");
            return usual;
        }
    };
    line.take_words(0..at + 2);
    let answer: Vec<&str> = (1..at + 2).map(|at| line.word(at)).collect();
    (target, format!(", {}", answer.join(" ")))
}

/// `tcp-check expect string master\ is\ running`: a script behind an agent's port names the role.
fn scripted(proxy: Proxy<'_>, option: &Statement, report: &mut Report) -> Check {
    option.take_words(0..2);
    let Some(line) = proxy.last(&["tcp-check", "expect"]) else {
        return Check::new(true);
    };
    let Some(target) = guess::role(line.word(3)).filter(|_| line.word(2).ends_with("string"))
    else {
        report.hand(line, "what this answer means is not known; every server may serve until you narrow the target");
        return Check::new(true);
    };
    line.take_words(0..4);
    Check { is_postgres: true, target, said: line_of(line), ..Check::new(true) }
}

fn line_of(line: &Statement) -> String {
    let words: Vec<&str> = (0..line.len()).map(|at| line.word(at)).collect();
    words.join(" ")
}
