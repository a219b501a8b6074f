//! `[pool.postgres]`: how PostgreSQL is asked, and whether its times fit each other.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::Check;
use super::address;
use super::pool::Placed;
use super::value::{self, Choice, Written, either};
use crate::config::file;
use crate::config::report::Draft;
use crate::config::{PostgresProbe, SslMode};

const SSLMODES: Choice<SslMode> = Choice {
    what: "sslmode",
    words: &[
        ("disable", SslMode::Disable),
        ("prefer", SslMode::Prefer),
        ("require", SslMode::Require),
    ],
    synonyms: &[
        ("allow", "prefer"),
        ("off", "disable"),
        ("on", "require"),
        ("false", "disable"),
        ("true", "require"),
    ],
    not_yet: &["verify-ca", "verify-full"],
};

impl Check<'_> {
    /// The settings of a PostgreSQL probe; where something is refused the default stands in until the check ends.
    pub(super) fn postgres(&mut self, number: usize, own: &file::Postgres) -> PostgresProbe {
        let default = &self.defaults.postgres.0;
        let pick = |own, default| either(number, own, default);
        let before = self.report.refusals();
        let pulse = pick(&own.pulse, &default.pulse);
        let suspect_after = pick(&own.suspect_after, &default.suspect_after);
        let lost_after = pick(&own.lost_after, &default.lost_after);
        let admission = pick(&own.admission, &default.admission);
        let (ms, report) = (Duration::from_millis, &mut *self.report);
        let mut probe = PostgresProbe {
            user: "pgvs".into(),
            password_file: None,
            dbname: "postgres".into(),
            sslmode: SslMode::Prefer,
            pulse: value::duration(report, pulse, ms(5)..=ms(5_000), ms(100)),
            suspect_after: value::duration(report, suspect_after, ms(10)..=ms(60_000), ms(300)),
            lost_after: value::duration(report, lost_after, ms(10)..=ms(300_000), ms(1_500)),
            admission: value::duration(report, admission, ms(100)..=ms(60_000), ms(2_000)),
            rise: 3,
            fall: 1,
            source: None,
        };
        if self.report.refusals() == before {
            self.times_fit(&probe, [pulse, suspect_after, lost_after]);
        }
        // PostgreSQL cuts longer names off (NAMEDATALEN).
        if let Some(user) =
            pick(&own.user, &default.user).and_then(|user| value::short(self.report, user, 63))
        {
            probe.user = user;
        }
        if let Some(name) =
            pick(&own.dbname, &default.dbname).and_then(|name| value::short(self.report, name, 63))
        {
            probe.dbname = name;
        }
        let sslmode = pick(&own.sslmode, &default.sslmode);
        if let Some(mode) = sslmode.and_then(|mode| value::choice(self.report, mode, &SSLMODES)) {
            probe.sslmode = mode;
        }
        if let Some(rise) = pick(&own.rise, &default.rise)
            .and_then(|rise| value::number(self.report, rise, 1..=100))
        {
            probe.rise = rise;
        }
        if let Some(fall) = pick(&own.fall, &default.fall)
            .and_then(|fall| value::number(self.report, fall, 1..=100))
        {
            probe.fall = fall;
        }
        let file = pick(&own.password_file, &default.password_file);
        probe.password_file = file.and_then(|file| self.password_file(file));
        probe.source = pick(&own.source, &default.source).and_then(|source| self.source(source));
        probe
    }

    /// `suspect_after` spans two pulses, so that one lost packet is no evidence; `lost_after` comes later.
    fn times_fit(
        &mut self,
        probe: &PostgresProbe,
        [pulse, suspect, lost]: [Option<Written<'_>>; 3],
    ) {
        let words = value::in_words;
        if probe.suspect_after < probe.pulse.saturating_mul(2)
            && let Some(at) = suspect.or(pulse)
        {
            let draft = Draft::new(format!(
                "suspect_after ({}) is less than two pulses of {}",
                words(probe.suspect_after),
                words(probe.pulse)
            ));
            self.report.error(draft.at(at.place, "too close").help(format!(
                "suspect_after = \"{}\" or more; one late answer is no evidence",
                words(probe.pulse.saturating_mul(2))
            )));
        }
        if probe.lost_after <= probe.suspect_after
            && let Some(at) = lost.or(suspect)
        {
            let draft = Draft::new(format!(
                "lost_after ({}) is not longer than suspect_after ({})",
                words(probe.lost_after),
                words(probe.suspect_after)
            ));
            self.report.error(
                draft.at(at.place, "too close").help("a server is suspected before it is lost"),
            );
        }
    }

    fn password_file(&mut self, written: Written<'_>) -> Option<PathBuf> {
        let text = value::text(self.report, written)?;
        let Some(path) = self.sources.beside(written.place.file, text) else {
            let draft = Draft::new("an empty path").at(written.place, "not a path");
            self.report.error(draft.help("leave the key out where no password is needed"));
            return None;
        };
        if text.starts_with('~') {
            let draft = Draft::new("`~` is not looked up: a daemon has no home")
                .at(written.place, "not a path");
            self.report.error(draft.help("write the whole path, or one relative to this file"));
        } else if let Some(error) = self.host.password_files.get(&path) {
            let draft = Draft::new(&**error).at(written.place, "cannot be used");
            self.report.error(draft.help(format!(
                "it must be there, and only the user that runs pgvs may read it: chmod 600 {}",
                path.display()
            )));
        }
        Some(path)
    }

    fn source(&mut self, written: Written<'_>) -> Option<IpAddr> {
        let ip = address::ip(self.report, written)?;
        if self.host.absent.contains(&ip) {
            let draft = Draft::new(format!(
                "{ip} is not an address of this host: no probe can come from it"
            ))
            .at(written.place, "not on this host");
            self.report.warning(draft);
        }
        Some(ip)
    }

    /// A probe cannot come from an address of the other family.
    pub(super) fn source_fits(
        &mut self,
        number: usize,
        own: &file::Postgres,
        source: Option<IpAddr>,
        servers: &[Placed],
    ) {
        let written = either(number, &own.source, &self.defaults.postgres.0.source);
        let (Some(source), Some(written)) = (source, written) else {
            return;
        };
        let other =
            servers.iter().find(|placed| placed.server.address.is_ipv4() != source.is_ipv4());
        if let Some(other) = other {
            let draft =
                Draft::new(format!("{} cannot be probed from {source}", other.server.address))
                    .at(written.place, "one family")
                    .at(other.address, "the other");
            self.report.error(draft.help("leave `source` out, or make a pool of each family"));
        }
    }
}
