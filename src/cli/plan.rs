//! `pgvs plan`: what a reload would change in the kernel; without a daemon, what a start would write at once.
//!
//! Writes nothing.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::{client, output};
use crate::config::sources::Checked;
use crate::engine::controller::Controller;
use crate::engine::event::Event;
use crate::engine::{memory::Memory, plan, settings};
use crate::host::control::client::ClientError;
use crate::host::control::protocol::{Reply, Request, SourceText};
use crate::host::netlink::Kernel;
use crate::host::settings::Keeper;
use crate::host::{files, state};
use crate::time::Time;
use crate::view;

/// Prints the plan for a configuration.
pub(super) fn run(config: &Path, socket: Option<&Path>) -> u8 {
    let sources = match files::gather(config) {
        Ok(sources) => sources,
        Err(error) => return output::error(&error.to_string()),
    };
    let texts = sources.texts();
    let files =
        texts.map(|(path, text)| SourceText { path: path.to_owned(), text: text.to_owned() });
    let request = Request::Plan { files: files.collect() };
    match client::ask(&request, config, socket) {
        Ok(reply) => output::reply(&reply),
        Err(ClientError::NoDaemon(_)) => match of_a_start(config) {
            Ok(reply) => output::reply(&reply),
            Err(error) => output::error(&format!("{error:#}")),
        },
        Err(error) => output::error(&error.to_string()),
    }
}

/// What a start would write before any probe has answered.
fn of_a_start(config: &Path) -> anyhow::Result<Reply> {
    let Checked { config, findings } = files::load(config)?;
    let memory = remembered(&config.director.state_dir);
    let keys: BTreeSet<_> =
        config.services.iter().map(|it| it.key).chain(memory.owned.iter().copied()).collect();
    let keys: Vec<_> = keys.into_iter().collect();
    let (table, _) = Kernel::open().and_then(|mut kernel| kernel.dump(&keys)).map_err(|error| {
        if error.is_permission() {
            anyhow::anyhow!(
                "no daemon runs, and the kernel does not permit to read its IPVS table: be root (CAP_NET_ADMIN)"
            )
        } else {
            error.into()
        }
    })?;
    let config = Arc::new(config);
    let controller = Controller::new(Arc::clone(&config), memory, Time::ZERO);
    let settings = Keeper::kernel().read(&settings::keys(&config));
    let settings = settings.map_err(|why| anyhow::anyhow!("{why}"))?;
    let kernel = plan::Kernel { table: table.clone(), settings };
    let ahead = plan::ahead(&controller, kernel, Event::Tick, Time::ZERO);
    let mut err = findings.all.iter().map(|it| format!("warning: {it}\n")).collect::<String>();
    err.push_str("no daemon runs: this is what a start would write at once\n");
    let out = view::plan::text(&config, &table, &ahead);
    Ok(Reply { exit: u8::from(!ahead.is_empty()), out, err })
}

/// What a daemon that has ended left behind, as far as it can be read.
fn remembered(directory: &Path) -> Memory {
    state::peek(directory).unwrap_or_else(|why| {
        output::say(&format!("planned without the state file: {why}"));
        Memory::default()
    })
}
