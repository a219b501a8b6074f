//! Finds the daemon and asks it.

use std::path::{Path, PathBuf};

use super::check::DEFAULT_CONFIG;
use crate::host::control::client::{self, ClientError};
use crate::host::control::protocol::{Reply, Request};
use crate::host::files;

/// Where the daemon listens, if nothing says otherwise.
const DEFAULT_SOCKET: &str = "/run/pgvs/pgvs.sock";

/// Asks the daemon at `socket`, else the one whose configuration it is.
pub(super) fn ask(
    request: &Request,
    config: &Path,
    socket: Option<&Path>,
) -> Result<Reply, ClientError> {
    client::ask(&socket_of(config, socket), request)
}

/// Where the daemon listens. A configuration that cannot be used does not stand in the way: the daemon may well run
/// with the one before it.
pub(super) fn socket_of(config: &Path, socket: Option<&Path>) -> PathBuf {
    if let Some(socket) = socket {
        return socket.to_owned();
    }
    match files::gather(config) {
        Ok(sources) => {
            let main = sources.texts().next().map(|(_, text)| text).unwrap_or_default();
            control_socket(main).unwrap_or_else(|| DEFAULT_SOCKET.into())
        }
        Err(error) => {
            if config != Path::new(DEFAULT_CONFIG) {
                super::output::say(&format!(
                    "{}\nwithout it the daemon is looked for at {DEFAULT_SOCKET}",
                    error.line()
                ));
            }
            DEFAULT_SOCKET.into()
        }
    }
}

/// `control_socket` of `[director]`, read from the text as far as it is sound.
fn control_socket(text: &str) -> Option<PathBuf> {
    let (table, _) = toml::de::DeTable::parse_recoverable(text);
    let director = table.get_ref().get("director")?.get_ref().as_table()?;
    director.get("control_socket")?.get_ref().as_str().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_found_in_a_broken_file_too() {
        let sound = "[director]\ncontrol_socket = \"/run/x.sock\"\n";
        let broken = format!("{sound}[[service]]\nname = \n");
        let wrong = format!("{sound}surprise = 1\n");
        for text in [sound, &broken, &wrong] {
            assert_eq!(control_socket(text), Some("/run/x.sock".into()), "{text}");
        }
        assert_eq!(control_socket("[director]\n"), None);
    }
}
