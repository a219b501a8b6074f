//! A primary with two streaming standbys, kept from scenario to scenario as long as it is as it was made.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::postgres::{ADMIN, Programs, Server, Settings};

/// Three servers by the numbers 1 to 3.
pub(crate) struct Cluster {
    template: PathBuf,
    servers: [Server; 3],
    settings: Settings,
}

impl Cluster {
    /// Takes the template into memory; no server runs yet.
    pub(crate) fn new(work: &Path, kept_template: &Path) -> Result<Self> {
        let programs = Programs::find()?;
        let template = work.join("template");
        programs.copy(kept_template, &template)?;
        let servers = [1, 2, 3].map(|number| Server::new(&programs, number, work));
        Ok(Self { template, servers, settings: Settings::default() })
    }

    /// Server 1, 2 or 3.
    pub(crate) fn server(&mut self, number: u8) -> Result<&mut Server> {
        self.servers.get_mut(usize::from(number) - 1).with_context(|| format!("no server {number}"))
    }

    /// All three.
    pub(crate) fn servers(&mut self) -> &mut [Server; 3] {
        &mut self.servers
    }

    /// Brings the cluster to server 1 as primary, 2 and 3 streaming from it, with these settings:
    /// by leaving it as it is, or by making it anew.
    pub(crate) fn settle(&mut self, settings: &Settings) -> Result<bool> {
        let same = self.settings.lines == settings.lines && self.settings.access == settings.access;
        if same && self.is_as_made() {
            return Ok(false);
        }
        self.settings = settings.clone();
        for server in &mut self.servers {
            server.end()?;
        }
        for (server, follows) in self.servers.iter_mut().zip([None, Some(1), Some(1)]) {
            server.make(&self.template)?;
            server.configure(&Settings { follows, ..settings.clone() })?;
            server.launch()?;
        }
        for server in &mut self.servers {
            server.wait_ready()?;
        }
        self.wait_streaming(1, 2)?;
        Ok(true)
    }

    /// Waits until that many standbys stream from a server.
    pub(crate) fn wait_streaming(&mut self, from: u8, standbys: usize) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut session = self.server(from)?.session(ADMIN)?;
        loop {
            let count = session
                .value("select count(*) from pg_stat_replication where state = 'streaming'")?
                .parse::<usize>()?;
            if count >= standbys {
                return session.close();
            }
            ensure!(
                Instant::now() < deadline,
                "{count} of {standbys} standbys stream from pg{from}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends every server.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.servers.iter_mut().try_for_each(Server::end)
    }

    fn is_as_made(&mut self) -> bool {
        let Ok(streaming) = self.servers[0].value(PRISTINE) else {
            return false;
        };
        let standbys = self.servers[1..].iter().all(|server| {
            server.value("select pg_is_in_recovery()").is_ok_and(|recovering| recovering == "t")
        });
        streaming == "t" && standbys
    }
}

/// True on a primary of the first timeline with two streaming standbys.
const PRISTINE: &str = "select not pg_is_in_recovery() \
    and pg_walfile_name(pg_current_wal_lsn()) like '00000001%' \
    and (select count(*) = 2 from pg_stat_replication where state = 'streaming')";
