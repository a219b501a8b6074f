//! A primary with two streaming standbys, kept from scenario to scenario as long as it is as it was made.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::postgres::{ADMIN, Programs, Server, Settings};

/// Three servers by the numbers 1 to 3.
pub(crate) struct Cluster {
    programs: Programs,
    kept_template: PathBuf,
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
        let kept_template = kept_template.to_owned();
        Ok(Self { programs, kept_template, template, servers, settings: Settings::default() })
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
        if self.settings.lines == settings.lines && self.is_as_made() {
            if self.settings.access != settings.access {
                self.reconfigure(settings)?;
            }
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

    /// Gives the running servers, as they were made, settings that need no restart.
    pub(crate) fn reconfigure(&mut self, settings: &Settings) -> Result<()> {
        self.settings = settings.clone();
        for (server, follows) in self.servers.iter().zip([None, Some(1), Some(1)]) {
            server.configure(&Settings { follows, ..settings.clone() })?;
            server.reload()?;
        }
        Ok(())
    }

    /// Has the servers speak another language.
    pub(crate) fn speak(&mut self, locale: &str) -> Result<()> {
        let (kept, work) = (&self.kept_template, &self.template);
        let from = kept.with_file_name("locale").join(locale);
        let to = work.with_file_name("locale");
        self.programs.make_directory(&to)?;
        self.programs.copy(&from, &to.join(locale))?;
        let lines = vec![format!("lc_messages = '{locale}'")];
        self.reconfigure(&Settings { lines, ..Settings::default() })
    }

    /// Makes a dead server a fresh standby of `primary`, and lets the third one follow that too: what an
    /// operator does after a failover.
    pub(crate) fn rejoin(&mut self, dead: u8, primary: u8) -> Result<()> {
        let other = 6 - dead - primary;
        let settings = Settings { follows: Some(primary), ..self.settings.clone() };
        self.server(other)?.configure(&settings)?;
        self.server(other)?.reload()?;
        self.server(dead)?.make_from(primary)?;
        self.server(dead)?.configure(&settings)?;
        self.server(dead)?.launch()?;
        self.server(dead)?.wait_ready()?;
        self.wait_streaming(primary, 2)
    }

    /// Puts a primary of another cluster in a dead server's place.
    pub(crate) fn make_foreign(&mut self, number: u8) -> Result<()> {
        let template = self.template.clone();
        let server = self.server(number)?;
        server.make_foreign(&template)?;
        server.configure(&Settings::default())?;
        self.restart(number)
    }

    /// Starts a dead server again.
    pub(crate) fn restart(&mut self, number: u8) -> Result<()> {
        self.server(number)?.launch()?;
        self.server(number)?.wait_ready()
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
