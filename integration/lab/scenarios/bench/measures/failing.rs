//! A server that dies out of every service at once.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::super::clock::Clock;
use super::super::figures::{Row, Who};
use super::super::fixture::{EACH, Fixture};
use super::super::floor::Prepared;
use super::super::servers::Servers;
use super::{Bench, LIMIT, at_most};
use crate::kernel;
use crate::net::{self, Namespace};
use crate::pgvs::Pgvs;
use crate::stage::median;

impl Bench<'_> {
    /// A server dies that stands in every service.
    pub(super) fn failing(&mut self) -> Result<()> {
        let servers: Vec<SocketAddr> = (0..EACH)
            .map(|place| {
                SocketAddr::from(([10, 8, 0, 100 + u8::try_from(place).unwrap_or(0)], net::PORT))
            })
            .collect();
        let victim = servers[3];
        let mut running = Servers::start(&servers)?;
        let mut row = Row::new("a server fails out of all services: none sends to it");
        let mut gone = Row::new("the same: deleted from all services");
        let alone = self.failures(Fixture { services: 1 }, &servers, &mut running, victim)?;
        let detection = median(alone.iter().map(|it| it.0).collect());
        let removal = median(alone.iter().map(|it| it.1).collect());
        for (out, deleted) in self.failures(self.fixture, &servers, &mut running, victim)? {
            row.add(Who::Pgvs, (out - detection).max(0.0));
            gone.add(Who::Pgvs, (deleted - removal).max(0.0));
        }
        let (quiesce, delete) = self.fixture.fail(victim);
        let (quiesce, delete) = (Prepared::new(&quiesce)?, Prepared::new(&delete)?);
        let make = Prepared::new(&self.fixture.make_shared(&servers)?)?;
        for _ in 0..self.rounds {
            kernel::ipvsadm(&["-C"])?;
            make.replay()?;
            let out = quiesce.replay()?.as_secs_f64();
            row.add(Who::Floor, out);
            gone.add(Who::Floor, out + delete.replay()?.as_secs_f64());
        }
        kernel::ipvsadm(&["-C"])?;
        self.told(&row);
        self.told(&gone);
        self.notes.push(format!(
            "A server that fails out of one service is out after {:.1} ms (median of its death to the write): that much is the \
             verdict's, and is not in the rows above.",
            detection * 1000.0
        ));
        let name = self.fixture.name();
        self.goals.push(at_most(
            &row,
            Who::Pgvs,
            Who::Floor,
            2.0,
            format!("{name}: failing / floor"),
        ));
        self.rows.extend([row, gone]);
        Ok(())
    }

    /// Seconds from a server's death to the last service that quiesced it, and that deleted it.
    fn failures(
        &self,
        fixture: Fixture,
        servers: &[SocketAddr],
        running: &mut Servers,
        victim: SocketAddr,
    ) -> Result<Vec<(f64, f64)>> {
        kernel::ipvsadm(&["-C"])?;
        let mut pgvs = Pgvs::new(&self.lab.pgvs, &self.lab.directory(), "failing")?;
        pgvs.ready_limit = LIMIT;
        pgvs.write(&fixture.shared_config(servers))?;
        let clock = Clock::start()?;
        pgvs.start()?;
        let services = usize::try_from(fixture.services)?;
        let each = usize::try_from(EACH)?;
        wait_serving(services * each)?;
        let mut rounds = Vec::new();
        for _ in 0..self.rounds {
            std::thread::sleep(Duration::from_millis(2500));
            clock.forget();
            let died = Instant::now();
            running.fail(victim);
            let (_, out) =
                clock.until(&["set destination", "delete destination"], services, LIMIT)?;
            let (_, deleted) = clock.until(&["delete destination"], services, LIMIT)?;
            let after = |at: Instant| at.saturating_duration_since(died).as_secs_f64();
            rounds.push((after(out), after(deleted)));
            self.lab.step(format!(
                "{} services: {:.1?} ms",
                services,
                (after(out) * 1000.0, after(deleted) * 1000.0)
            ));
            running.mend(victim)?;
            wait_serving(services * each)?;
        }
        drop(clock);
        pgvs.stop()?;
        kernel::ipvsadm(&["-C"])?;
        Ok(rounds)
    }
}

/// Waits until so many destinations have their weight: some are made with it, some are raised to it later.
fn wait_serving(count: usize) -> Result<()> {
    let began = Instant::now();
    loop {
        let text = Namespace::Director
            .inside(|| Ok(std::fs::read_to_string("/proc/thread-self/net/ip_vs")?))?;
        let serving = text.matches("Masq    100 ").count();
        if serving == count {
            return Ok(());
        }
        ensure!(began.elapsed() < LIMIT, "{serving} of {count} destinations serve");
        std::thread::sleep(Duration::from_millis(200));
    }
}
