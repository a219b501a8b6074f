//! `[director]`: the daemon itself.

use std::path::PathBuf;
use std::time::Duration;

use super::Check;
use super::value::{self, Choice, Written, written};
use crate::config::file::{self, Field, File};
use crate::config::report::Draft;
use crate::config::{Director, OnStop};

const ON_STOP: Choice<OnStop> = Choice {
    what: "on_stop",
    words: &[("leave", OnStop::Leave), ("quiesce", OnStop::Quiesce), ("remove", OnStop::Remove)],
    synonyms: &[
        ("keep", "leave"),
        ("none", "leave"),
        ("drain", "quiesce"),
        ("flush", "remove"),
        ("clear", "remove"),
    ],
    not_yet: &[],
};

/// The longest path of a socket, in bytes: `sun_path` of unix(7) without its NUL.
const SOCKET_PATH: usize = 107;

impl Check<'_> {
    pub(super) fn director(&mut self, main: &File) -> Director {
        let none = file::Director::default();
        let file = main.director.as_ref().map_or(&none, |director| &director.get_ref().0);
        let on_stop = written(0, file.on_stop.as_ref())
            .and_then(|written| value::choice(self.report, written, &ON_STOP))
            .unwrap_or(OnStop::Leave);
        Director {
            name: written(0, file.name.as_ref())
                .and_then(|written| value::name(self.report, written)),
            state_dir: self.absolute(&file.state_dir, "/var/lib/pgvs", None),
            control_socket: self.absolute(
                &file.control_socket,
                "/run/pgvs/pgvs.sock",
                Some(SOCKET_PATH),
            ),
            on_stop,
            freeze_timeout: value::duration(
                self.report,
                written(0, file.freeze_timeout.as_ref()),
                Duration::from_secs(1)..=Duration::from_secs(600),
                Duration::from_secs(10),
            ),
        }
    }

    /// An absolute path: the daemon's working directory is nobody's concern.
    fn absolute(&mut self, field: &Field, default: &str, longest: Option<usize>) -> PathBuf {
        let path = written(0, field.as_ref())
            .and_then(|written| self.absolute_path(written, default, longest));
        path.unwrap_or_else(|| default.into())
    }

    fn absolute_path(
        &mut self,
        written: Written<'_>,
        default: &str,
        longest: Option<usize>,
    ) -> Option<PathBuf> {
        let text = value::text(self.report, written)?;
        let (title, help) = if !text.starts_with('/') {
            ("not an absolute path".to_owned(), format!("begin it with /, as in \"{default}\""))
        } else if let Some(longest) = longest.filter(|longest| text.len() > *longest) {
            (
                format!("a socket's path of {} bytes", text.len()),
                format!("the kernel takes {longest} bytes at most"),
            )
        } else {
            return Some(text.into());
        };
        self.report.error(Draft::new(title).at(written.place, "not accepted").help(help));
        None
    }
}
