//! Every attribute of services and destinations: from the config to the kernel, read back by ipvsadm and neli, and
//! one by one changed while the others stay.

mod config;
mod edits;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pgvs::model::destination::{Destination, DestinationKey, Weight};
use pgvs::model::service::ServiceKey;
use pgvs::model::table::Table;

use self::config::{SAVED, config};
use self::edits::{Edit, edits};
use super::Scenario;
use crate::kernel::ipvsadm;
use crate::lab::Lab;
use crate::postgres::Stop;
use crate::stage::{RW, SOON, Stage};
use crate::tap::Tap;
use crate::{full, net};

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "attributes",
    shows: "every attribute arrives in the kernel; a weight, a failure or one edited attribute moves nothing else",
    run: attributes,
}];

fn attributes(lab: &mut Lab) -> Result<()> {
    let stage = Stage::open(lab, &config())?;
    stage.wait_healthy(Instant::now())?;
    let mut scene = Scene { table: full::table()?, config: config(), tap: Tap::start()?, stage };
    scene.is_whole(lab)?;
    scene.weight_and_failure(lab)?;
    let edits = edits();
    for edit in &edits {
        scene.edit(edit)?;
    }
    lab.step(format!("{} attributes edited one by one: nothing else moved", edits.len()));
    scene.missing_scheduler(lab)?;
    scene.drift_that_proc_does_not_show(lab)
}

struct Scene {
    stage: Stage,
    tap: Tap,
    /// What the kernel must have.
    table: Table,
    config: String,
}

impl Scene {
    /// Everything is in the kernel, by the word of ipvsadm.
    fn is_whole(&self, lab: &Lab) -> Result<()> {
        let saved = ipvsadm(&["-S", "-n"])?;
        let found = saved.lines().filter(|line| !line.contains("10.9.0.103:8080"));
        let (found, wanted): (BTreeSet<_>, BTreeSet<_>) =
            (found.collect(), SAVED.lines().collect());
        let missing: Vec<_> = wanted.difference(&found).collect();
        let odd: Vec<_> = found.difference(&wanted).collect();
        ensure!(missing.is_empty() && odd.is_empty(), "missing: {missing:#?}\nodd: {odd:#?}");
        for (format, address, words) in [
            ("--thresholds", "10.9.0.101:5432", "-> 10.8.0.12:5432 100 80"),
            ("--thresholds", "10.9.0.101:5432", "-> 10.8.0.13:5432 0 0"),
            ("--tun-info", "10.9.0.110:80", "-> 10.8.0.22:80 Tunnel gue:6080:+c 100"),
            ("--tun-info", "10.9.0.110:80", "-> [fd00:8::23]:80 Tunnel ipip 100"),
            ("--tun-info", "10.9.0.110:80", "-> 10.8.0.21:8080 Masq n/a 100"),
        ] {
            let list = ipvsadm(&["-Ln", format, "-t", address])?;
            let blanks = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
            let is_there = list.lines().any(|line| blanks(line).starts_with(words));
            ensure!(is_there, "ipvsadm -Ln {format}: no {words:?} in\n{list}");
        }
        lab.step(format!("ipvsadm says the same as the config in {} lines", wanted.len()));
        Ok(())
    }

    /// The kernel has what it must have, by the word of neli, and this was written for it.
    fn expect(&self, what: &str, writes: &[&str]) -> Result<()> {
        let found = full::table()?;
        for (key, wanted) in &self.table.services {
            let found = found.services.get(key).with_context(|| format!("{what}: no {key}"))?;
            ensure!(found == wanted, "{what}: {key} should be\n{wanted:?}\nand is\n{found:?}");
        }
        ensure!(found.services.len() == self.table.services.len(), "{what}: a service too many");
        let written = self.tap.writes()?;
        ensure!(written == writes, "{what}: {written:?} was written, not {writes:?}");
        Ok(())
    }

    fn reload(&self) -> Result<()> {
        self.stage.pgvs.write(&self.config)?;
        self.stage.pgvs.run(&["reload"])?.expect(0)?;
        Ok(())
    }

    fn destination(&mut self, key: ServiceKey, server: DestinationKey) -> Result<&mut Destination> {
        let entry = self.table.services.get_mut(&key).with_context(|| key.to_string())?;
        entry.destinations.get_mut(&server).with_context(|| server.to_string())
    }

    fn weight_and_failure(&mut self, lab: &mut Lab) -> Result<()> {
        let (ro, pg2) = (ServiceKey::tcp(net::vip(1)), DestinationKey(net::server(2)));
        drop(self.tap.writes()?);
        let old = "name = \"pg2\"\naddress = \"10.8.0.12:5432\"\nweight = 100";
        self.config = replaced(&self.config, old, &old.replace("100", "50"))?;
        self.reload()?;
        self.destination(ro, pg2)?.weight = Weight(50);
        self.expect("a weight by reload", &["set destination"])?;

        let began = Instant::now();
        lab.cluster_as_is()?.server(3)?.tell(Stop::Fast)?;
        lab.cluster_as_is()?.server(3)?.wait_end(SOON)?;
        let gone = [Some(0), Some(50), None];
        self.stage.until("pg3 removed", began, |it| it.of(crate::stage::ro()) == gone)?;
        let (whole, pg3) = (self.table.clone(), DestinationKey(net::server(3)));
        for key in [ServiceKey::tcp(net::vip(0)), ro] {
            self.table.services.get_mut(&key).context("a service")?.destinations.remove(&pg3);
        }
        self.stage.until("pg3 removed from both", began, |it| {
            it.of(crate::stage::rw()) == [Some(100), Some(0), None]
        })?;
        let written = self.tap.writes()?;
        ensure!(written.ends_with(&["delete destination"]), "a failure wrote {written:?}");
        self.expect("a server that failed", &[])?;
        let again = Instant::now();
        lab.cluster_as_is()?.restart(3)?;
        self.stage.wait("pg3 is back", again, RW, [Some(0), Some(50), Some(100)])?;
        drop(self.tap.writes()?);
        self.table = whole;
        self.expect("a server that is back", &[])?;
        lab.step("a weight and a failure: flags, persistence, thresholds and tunnels stayed");
        Ok(())
    }

    fn edit(&mut self, edit: &Edit) -> Result<()> {
        self.config = replaced(&self.config, edit.old, edit.new)?;
        let began = Instant::now();
        self.reload()?;
        (edit.change)(&mut self.table)?;
        // A service is edited after everything else, and the reload waits for that.
        self.expect(edit.new, edit.writes)?;
        ensure!(began.elapsed() < SOON, "{} took {:?}", edit.new, began.elapsed());
        Ok(())
    }

    /// What the kernel has no module for takes nothing away.
    fn missing_scheduler(&mut self, lab: &Lab) -> Result<()> {
        let good = self.config.clone();
        self.config = replaced(&good, "scheduler = \"fo\"", "scheduler = \"twos\"")?;
        self.stage.pgvs.write(&self.config)?;
        let check = self.stage.pgvs.run(&["check"])?.expect(0)?;
        ensure!(check.said().contains("no scheduler twos"), "check said {}", check.said());
        let reload = self.stage.pgvs.run(&["reload"])?;
        for word in ["FWM 9 IPv6", "no scheduler twos", "modprobe ip_vs_twos"] {
            ensure!(reload.said().contains(word), "no {word:?} in {}", reload.said());
        }
        lab.step(format!("reload says: {}", reload.said().trim()));
        self.stage.pgvs.wait_alarm("FWM 9 IPv6", SOON)?;
        drop(self.tap.writes()?);
        self.config = good;
        self.reload()?;
        drop(self.tap.writes()?);
        self.expect("a scheduler that is not there", &[])
    }

    /// Thresholds and tunnels are not in /proc/net/ip_vs: the full read finds them.
    fn drift_that_proc_does_not_show(&self, lab: &Lab) -> Result<()> {
        let length = self.stage.pgvs.log().len();
        let edit = ["-e", "-t", "10.9.0.101:5432", "-r", "10.8.0.12:5432", "-m", "-w", "50"];
        ipvsadm(&[&edit[..], &["-x", "7"]].concat())?;
        let edit = ["-e", "-t", "10.9.0.110:80", "-r", "10.8.0.22:80", "-i", "-w", "100"];
        ipvsadm(&[&edit[..], &["--tun-type", "gre"]].concat())?;
        let began = Instant::now();
        while full::table()? != self.table {
            ensure!(began.elapsed() < Duration::from_secs(45), "not restored in 45 s");
            std::thread::sleep(Duration::from_millis(200));
        }
        let line = self.stage.pgvs.wait_log(length, "its options were set; restored", SOON)?;
        lab.step(format!("after {:.0} s: {line}", began.elapsed().as_secs_f64()));
        Ok(())
    }
}

/// A text with one part replaced, which must be there exactly once.
fn replaced(text: &str, old: &str, new: &str) -> Result<String> {
    ensure!(text.matches(old).count() == 1, "{old:?} must stand once in the config");
    Ok(text.replace(old, new))
}
