//! What a scenario is given: directories, the PostgreSQL cluster, a voice, and a fresh director.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::cluster::Cluster;
use crate::pgvs::Pgvs;
use crate::postgres::Settings;
use crate::{kernel, net};

/// Why a scenario cannot be shown on this kind of machine; neither a pass nor a failure.
#[derive(Debug)]
pub(crate) struct NotHere(pub(crate) &'static str);

impl std::fmt::Display for NotHere {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for NotHere {}

/// The lab as the running scenario sees it.
pub(crate) struct Lab {
    /// The release binary under test.
    pub(crate) pgvs: PathBuf,
    /// The project's directory.
    pub(crate) repository: PathBuf,
    template: PathBuf,
    work: PathBuf,
    artefacts: PathBuf,
    cluster: Option<Cluster>,
    scenario: String,
    started: Instant,
    logs: Vec<PathBuf>,
    foreign: Option<String>,
    /// Whether [`Lab::step`] keeps silent: the demo tells its own story.
    pub(crate) is_quiet: bool,
}

/// A service that somebody else made in the director: pgvs must never touch it.
const FOREIGN: &str = "10.9.0.103:8080";

impl Lab {
    /// Makes the servers' side of the topology. `artefacts` outlives the run, `work` need not.
    fn new(work: &Path, artefacts: &Path) -> Result<Self> {
        let variable = |name: &str| {
            std::env::var_os(name).map(PathBuf::from).with_context(|| format!("${name} is not set"))
        };
        fs::create_dir_all(work).with_context(|| format!("make {}", work.display()))?;
        net::make_servers()?;
        Ok(Self {
            pgvs: variable("PGVS")?,
            repository: variable("PGVS_REPO")?,
            template: variable("PGVS_LAB_TEMPLATE")?,
            work: work.to_owned(),
            artefacts: artefacts.to_owned(),
            cluster: None,
            scenario: String::new(),
            started: Instant::now(),
            logs: Vec::new(),
            foreign: None,
            is_quiet: false,
        })
    }

    /// The lab as `integration/lab/run` wants it.
    pub(crate) fn from_environment() -> Result<Self> {
        let artefacts = std::env::var_os("PGVS_LAB_OUT").context("$PGVS_LAB_OUT is not set")?;
        let work = PathBuf::from(format!("/dev/shm/pgvs-lab-{}", std::process::id()));
        Self::new(&work, &PathBuf::from(artefacts))
    }

    /// Where everything is kept that outlives the run.
    pub(crate) fn artefacts(&self) -> &Path {
        &self.artefacts
    }

    /// Begins a scenario: an empty director, an empty directory.
    pub(crate) fn begin(&mut self, scenario: &str) -> Result<()> {
        scenario.clone_into(&mut self.scenario);
        self.started = Instant::now();
        self.logs.clear();
        self.foreign = None;
        let directory = self.directory();
        fs::create_dir_all(&directory).with_context(|| format!("make {}", directory.display()))?;
        net::make_director()
    }

    /// A directory for this scenario's files, in memory.
    pub(crate) fn directory(&self) -> PathBuf {
        self.work.join("scenario").join(&self.scenario)
    }

    /// Whether this is the virtual machine, whose kernel nobody else uses.
    pub(crate) fn is_guest(&self) -> bool {
        fs::read_to_string("/proc/cmdline").is_ok_and(|line| line.contains("lab_main="))
    }

    /// Says what happens, with the seconds since the scenario began.
    pub(crate) fn step(&self, text: impl AsRef<str>) {
        if self.is_quiet {
            return;
        }
        crate::say(&format!("  {:6.1} s  {}", self.started.elapsed().as_secs_f64(), text.as_ref()));
    }

    /// Writes a figure into the artefacts and says it.
    pub(crate) fn figure(&self, text: impl AsRef<str>) -> Result<()> {
        self.step(text.as_ref());
        let path = self.artefacts.join("figures.txt");
        let mut all = fs::read_to_string(&path).unwrap_or_default();
        all.push_str(&format!("{}: {}\n", self.scenario, text.as_ref()));
        fs::write(&path, all).with_context(|| format!("write {}", path.display()))
    }

    /// A log that is shown if the scenario fails and kept in any case.
    pub(crate) fn keep_log(&mut self, path: &Path) {
        self.logs.push(path.to_owned());
    }

    /// A daemon with this config that does not run yet, beside a service that somebody else made.
    pub(crate) fn daemon(&mut self, config: &str) -> Result<Pgvs> {
        if self.foreign.is_none() {
            self.make_foreign()?;
        }
        self.daemon_alone("pgvs", config)
    }

    /// A daemon of that name, and nothing else.
    pub(crate) fn daemon_alone(&mut self, name: &str, config: &str) -> Result<Pgvs> {
        let pgvs = Pgvs::new(&self.pgvs, &self.directory(), name)?;
        self.keep_log(&pgvs.log_path());
        self.keep_log(&pgvs.threads_path());
        pgvs.write(config)?;
        Ok(pgvs)
    }

    /// Makes the foreign service, with what a careless program would change.
    pub(crate) fn make_foreign(&mut self) -> Result<()> {
        kernel::ipvsadm(&["-A", "-t", FOREIGN, "-s", "rr", "-p", "60"])?;
        for (server, weight) in [("10.8.0.11:8080", "0"), ("10.8.0.12:8080", "3")] {
            kernel::ipvsadm(&["-a", "-t", FOREIGN, "-r", server, "-m", "-w", weight, "-x", "9"])?;
        }
        self.foreign = Some(foreign()?);
        Ok(())
    }

    /// Fails if the foreign service is not as it was made.
    pub(crate) fn foreign_is_untouched(&self) -> Result<()> {
        let Some(made) = &self.foreign else {
            return Ok(());
        };
        let found = foreign()?;
        ensure!(&found == made, "the foreign service was\n{made}and is\n{found}");
        Ok(())
    }

    /// A healthy primary (server 1) with two streaming standbys and PostgreSQL's default behaviour.
    pub(crate) fn cluster(&mut self) -> Result<&mut Cluster> {
        self.cluster_with(&Settings::default())
    }

    /// The cluster in whatever state the scenario has brought it to.
    pub(crate) fn cluster_as_is(&mut self) -> Result<&mut Cluster> {
        self.cluster.as_mut().context("the scenario has not asked for a cluster")
    }

    /// The same with settings of the scenario's own.
    pub(crate) fn cluster_with(&mut self, settings: &Settings) -> Result<&mut Cluster> {
        let started = Instant::now();
        let cluster = match self.cluster.take() {
            Some(cluster) => cluster,
            None => Cluster::new(&self.work, &self.template)?,
        };
        let cluster = self.cluster.insert(cluster);
        self.logs.extend(cluster.servers().iter().map(|server| server.log().to_owned()));
        let made = cluster.settle(settings)?;
        if made {
            let seconds = started.elapsed().as_secs_f64();
            self.step(format!(
                "PostgreSQL: a primary and two streaming standbys, after {seconds:.1} s"
            ));
        }
        self.cluster.as_mut().context("no cluster")
    }

    /// Keeps the scenario's logs among the artefacts and returns their ends, for a failure.
    pub(crate) fn finish(&mut self) -> Result<String> {
        let kept = self.artefacts.join(&self.scenario);
        fs::create_dir_all(&kept).with_context(|| format!("make {}", kept.display()))?;
        let mut ends = String::new();
        for log in &self.logs {
            let Ok(text) = fs::read_to_string(log) else {
                continue;
            };
            let name = log.file_name().unwrap_or_default().to_string_lossy();
            fs::write(kept.join(&*name), &text).with_context(|| format!("write {name}"))?;
            let lines: Vec<_> = text.lines().collect();
            ends.push_str(&format!("--- the end of {name}\n"));
            for line in lines.iter().skip(lines.len().saturating_sub(40)) {
                ends.push_str(&format!("{line}\n"));
            }
        }
        fs::remove_dir_all(self.directory()).context("remove the scenario's directory")?;
        Ok(ends)
    }

    /// Ends whatever still runs and removes every trace.
    pub(crate) fn close(mut self) -> Result<()> {
        if let Some(cluster) = &mut self.cluster {
            cluster.end()?;
        }
        net::remove_everything()?;
        fs::remove_dir_all(&self.work).with_context(|| format!("remove {}", self.work.display()))
    }
}

fn foreign() -> Result<String> {
    let list = kernel::ipvsadm(&["-Ln", "-t", FOREIGN]).context("the foreign service is gone")?;
    Ok(list + &kernel::ipvsadm(&["-Ln", "--thresholds", "-t", FOREIGN])?)
}
