//! A plan as the text of a `pgvs.toml` that people read: comments say where each thing came from.
//!
//! Decides nothing; what it writes is what the plan says, what was not carried over first.

use std::collections::{BTreeMap, BTreeSet};

use super::ledger::{Kind, Listed, Place, clean, shown};
use super::names::Taken;
use super::plan::{Key, Plan, Pool, Postgres, Server, Service, Value};

/// The column at which comments begin.
const COLUMN: usize = 39;
/// The longest line of a comment.
const WIDTH: usize = 110;

/// The text of a config.
pub(super) fn toml(plan: &Plan, listed: &[Listed], files: &[String], command: &str) -> String {
    let mut page = Page { text: String::new(), files };
    page.head(command, listed);
    page.table("[director]", &[], &plan.director);
    page.table("[kernel]", &[], &plan.kernel);
    page.table("[defaults.service]", &[], &plan.defaults);
    for (place, keys) in &plan.sync_daemons {
        page.table("[[sync_daemon]]", &[*place], keys);
    }
    let names = plan.pool_names();
    for (pool, name) in plan.pools.iter().zip(&names) {
        page.pool(pool, name);
    }
    let mut taken = Taken::default();
    for service in &plan.services {
        let pool = names.get(service.pool).map_or("", |name| name);
        page.service(service, &taken.name(&service.name), pool);
    }
    page.text
}

/// What is listed, in lines: those with one reason stand together.
pub(super) fn lines(listed: &[Listed], files: &[String]) -> Vec<String> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut known: BTreeMap<(Kind, &str), usize> = BTreeMap::new();
    for it in listed {
        let number = *known.entry((it.kind, &it.why)).or_insert(groups.len());
        match groups.get_mut(number) {
            Some(group) if it.place.is_some() => group.add(it, files),
            _ => {
                known.insert((it.kind, &it.why), groups.len());
                let mut group = Group { why: &it.why, ..Group::default() };
                group.add(it, files);
                groups.push(group);
            }
        }
    }
    groups.into_iter().map(|group| group.line()).collect()
}

/// What is listed for one reason.
#[derive(Default)]
struct Group<'a> {
    places: String,
    last: Option<(usize, usize, usize)>,
    whats: Vec<&'a str>,
    known: BTreeSet<&'a str>,
    why: &'a str,
}

impl<'a> Group<'a> {
    fn add(&mut self, it: &'a Listed, files: &[String]) {
        let at = it.place.map(|place| (place.file, place.line, it.end));
        if self.last.is_none() || self.last != at {
            let full = place(it, files);
            let is_same_file = self.last.map(|(file, ..)| file) == at.map(|(file, ..)| file);
            match full.rsplit_once(':').filter(|_| is_same_file) {
                Some((_, line)) => self.places.push_str(&format!(", {line}")),
                None if self.places.is_empty() => self.places = full,
                None => self.places.push_str(&format!(", {full}")),
            }
        }
        self.last = at;
        if self.known.insert(&it.what) {
            self.whats.push(&it.what);
        }
    }

    fn line(&self) -> String {
        format!("{}: {}: {}", self.places, self.whats.join("; "), self.why)
    }
}

fn place(listed: &Listed, files: &[String]) -> String {
    match listed.place {
        None => "the result".to_owned(),
        Some(place) => {
            let name = files.get(place.file).map_or("?", |name| name);
            let end =
                if listed.end > place.line { format!("-{}", listed.end) } else { String::new() };
            format!("{}:{}{end}", shown(name), place.line)
        }
    }
}

struct Page<'a> {
    text: String,
    files: &'a [String],
}

impl Page<'_> {
    fn head(&mut self, command: &str, listed: &[Listed]) {
        self.comment(&format!(
            "Made by `pgvs import {}`. Read it, then look what it means with `pgvs check` and `pgvs plan`.",
            shown(command)
        ));
        let (hand, lost): (Vec<&Listed>, Vec<&Listed>) =
            listed.iter().partition(|it| it.kind == Kind::Hand);
        for (title, some) in [("Needs your hand:", hand), ("Not carried over:", lost)] {
            if !some.is_empty() {
                self.text.push_str("#\n");
                self.comment(title);
                let some: Vec<Listed> = some.into_iter().cloned().collect();
                for line in lines(&some, self.files) {
                    self.hanging(&line);
                }
            }
        }
    }

    fn pool(&mut self, pool: &Pool, name: &str) {
        self.header("[[pool]]", &pool.places);
        self.said(&pool.said);
        self.key(&Key::text("name", name));
        let probe = if pool.probe.is_some() { "postgres" } else { "none" };
        self.key(&Key::text("probe", probe));
        pool.keys.iter().for_each(|key| self.key(key));
        if let Some(Postgres { user, rise, fall, said }) = &pool.probe
            && (user.is_some() || rise.is_some() || fall.is_some() || !said.is_empty())
        {
            self.text.push_str("\n[pool.postgres]\n");
            self.said(said);
            let user = user.as_ref().map(|user| Key::text("user", user));
            let rise = rise.map(|rise| Key::number("rise", rise));
            let fall = fall.map(|fall| Key::number("fall", fall));
            [user, rise, fall].iter().flatten().for_each(|key| self.key(key));
        }
        let mut taken = Taken::default();
        for server in &pool.servers {
            self.server(server, &taken.name(&server.name));
        }
    }

    fn server(&mut self, server: &Server, name: &str) {
        self.header("[[pool.server]]", &server.places);
        self.key(&Key::text("name", name));
        self.key(&Key::text("address", server.address.to_string()).because(&*server.why));
        server.keys.iter().for_each(|key| self.key(key));
    }

    fn service(&mut self, service: &Service, name: &str, pool: &str) {
        self.header("[[service]]", &service.places);
        self.said(&service.said);
        self.key(&Key::text("name", name));
        let at = service.keys.iter().take_while(|key| is_identity(key.name)).count();
        let (identity, others) = service.keys.split_at_checked(at).unwrap_or_default();
        identity.iter().for_each(|key| self.key(key));
        self.key(&Key::text("pool", pool));
        others.iter().for_each(|key| self.key(key));
    }

    fn table(&mut self, header: &str, places: &[Place], keys: &[Key]) {
        if !keys.is_empty() {
            self.header(header, places);
            keys.iter().for_each(|key| self.key(key));
        }
    }

    fn header(&mut self, header: &str, places: &[Place]) {
        self.text.push('\n');
        let from = places.iter().fold((String::new(), None), |(mut text, file), place| {
            let name = self.files.get(place.file).map_or("?", |name| name);
            match file {
                None => text.push_str(&format!("{}:{}", shown(name), place.line)),
                Some(last) if last == place.file => text.push_str(&format!(", {}", place.line)),
                Some(_) => text.push_str(&format!(", {}:{}", shown(name), place.line)),
            }
            (text, Some(place.file))
        });
        self.text.push_str(&commented(header, &from.0));
        self.text.push('\n');
    }

    fn key(&mut self, key: &Key) {
        self.text.push_str(&line(key));
        self.text.push('\n');
    }

    fn said(&mut self, said: &[String]) {
        said.iter().for_each(|it| self.comment(it));
    }

    fn comment(&mut self, text: &str) {
        self.wrapped(text, "# ", "# ");
    }

    fn hanging(&mut self, text: &str) {
        self.wrapped(text, "#   ", "#     ");
    }

    fn wrapped(&mut self, text: &str, first: &str, others: &str) {
        let mut line = first.to_owned();
        for word in clean(text).split(' ') {
            let is_begun = line.len() > others.len();
            if is_begun && line.len() + word.len() > WIDTH {
                self.text.push_str(line.trim_end());
                self.text.push('\n');
                line = others.to_owned();
            }
            line.push_str(word);
            line.push(' ');
        }
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }
}

/// A key as a line of the config.
pub(super) fn line(key: &Key) -> String {
    let sign = if key.is_offer { "# " } else { "" };
    commented(&format!("{sign}{} = {}", key.name, written(&key.value)), &key.why)
}

fn commented(line: &str, comment: &str) -> String {
    match comment {
        "" => line.to_owned(),
        comment => format!("{line:<COLUMN$} # {}", clean(comment)),
    }
}

/// Whether a key says which packets a service is for; these stand right behind its name.
fn is_identity(name: &str) -> bool {
    matches!(name, "address" | "fwmark" | "family" | "protocol")
}

/// A value in TOML.
fn written(value: &Value) -> String {
    let text = |text: &String| toml::Value::String(text.clone()).to_string();
    match value {
        Value::Text(one) => text(one),
        Value::Number(number) => number.to_string(),
        Value::Truth(truth) => truth.to_string(),
        Value::Words(words) => {
            let words: Vec<String> = words.iter().map(text).collect();
            format!("[{}]", words.join(", "))
        }
        Value::Numbers(numbers) => {
            let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
            format!("[{}]", numbers.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(line: usize, what: &str) -> Listed {
        Listed {
            place: Some(Place { file: 0, line }),
            end: line,
            what: what.into(),
            why: "why".into(),
            kind: Kind::Lost,
        }
    }

    #[test]
    fn those_with_one_reason_stand_together() {
        let files = ["a.cfg".to_owned()];
        let other = Listed { why: "other".into(), ..listed(4, "port 8008") };
        let all = [
            listed(3, "maxconn 100"),
            listed(4, "maxconn 100"),
            other,
            listed(5, "maxqueue 9"),
            listed(5, "minconn 1"),
        ];
        assert_eq!(
            lines(&all, &files),
            ["a.cfg:3, 4, 5: maxconn 100; maxqueue 9; minconn 1: why", "a.cfg:4: port 8008: other"]
        );
    }

    #[test]
    fn texts_are_quoted_as_toml_wants_it() {
        let hostile = "a\"b\\c\nd";
        let line = format!("key = {}", written(&Value::Text(hostile.into())));
        let table: toml::Table = line.parse().unwrap();
        assert_eq!(table["key"].as_str(), Some(hostile));
    }

    #[test]
    fn a_comment_stays_a_comment_however_long() {
        let mut page = Page { text: String::new(), files: &[] };
        page.comment(&"word ".repeat(100));
        assert!(page.text.lines().all(|line| line.starts_with("# ") && line.len() <= WIDTH + 5));
        assert!(page.text.lines().count() > 3);
    }
}
