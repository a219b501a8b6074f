//! Which services belong to a daemon that runs in this network namespace.
//!
//! That one runs is told by its lock, which is of the namespace; which services are its own it says itself.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::bail;

use super::Arguments;
use crate::cli::{client, output};
use crate::host::control::client as control;
use crate::host::control::protocol::Request;
use crate::host::lock::{self, Holder, LockError, NamespaceLock};
use crate::model::service::ServiceKey;

/// Whose the services are while we write.
#[derive(Debug)]
pub(super) enum Owner {
    /// Nobody's; while this is held no daemon starts.
    Nobody {
        // Held, never used.
        _lock: Option<NamespaceLock>,
    },
    /// A daemon's: these, as it shows them.
    Daemon(BTreeSet<String>),
}

impl Owner {
    /// Those of these services that are the daemon's.
    pub(super) fn of<'a>(
        &self,
        keys: impl Iterator<Item = &'a ServiceKey>,
    ) -> BTreeSet<ServiceKey> {
        match self {
            Self::Nobody { .. } => BTreeSet::new(),
            Self::Daemon(owned) => {
                keys.copied().filter(|key| owned.contains(&key.to_string())).collect()
            }
        }
    }
}

pub(super) fn find(arguments: &Arguments, socket: Option<&Path>) -> anyhow::Result<Owner> {
    let holder = if arguments.dry_run {
        match lock::look() {
            None => return Ok(Owner::Nobody { _lock: None }),
            Some(holder) => Some(holder),
        }
    } else {
        match lock::take() {
            Ok(lock) => return Ok(Owner::Nobody { _lock: Some(lock) }),
            Err(LockError::Held { holder }) => holder,
            Err(error @ LockError::System(_)) => return Err(error.into()),
        }
    };
    let who = match &holder {
        Some(Holder { pid, .. }) if *pid > 0 => format!("pgvs (pid {pid})"),
        _ => "pgvs".to_owned(),
    };
    match ask(arguments, socket, holder) {
        Ok(owned) => Ok(Owner::Daemon(owned)),
        Err(why) if arguments.force => {
            output::say(&format!(
                "pgvs: a {who} runs in this network namespace; which services are its own is not known: {why:#}"
            ));
            Ok(Owner::Nobody { _lock: None })
        }
        Err(why) => bail!(
            "a {who} runs in this network namespace, and which services are its own is not known: {why:#}; nothing was changed (--force writes all the same)"
        ),
    }
}

fn ask(
    arguments: &Arguments,
    socket: Option<&Path>,
    holder: Option<Holder>,
) -> anyhow::Result<BTreeSet<String>> {
    let path = client::socket_of(&arguments.config, socket);
    // A socket is of a directory, not of a network namespace: another one's daemon may listen there.
    let listener = control::holder(&path);
    if let (Some(listener), Some(holder)) = (listener, holder)
        && holder.pid > 0
        && listener.pid != holder.pid
    {
        bail!("at {} another one answers (pid {}); say --socket", path.display(), listener.pid);
    }
    let reply = control::ask(&path, &Request::Owned {})?;
    if reply.exit != 0 {
        bail!("{}", reply.err.trim());
    }
    Ok(reply.out.lines().map(str::to_owned).collect())
}
