//! `pgvs ipvsadm` and the real ipvsadm, run alike: command lines, or many of them in one process by `-R`.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::lab::Lab;
use crate::net::Namespace;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// `pgvs ipvsadm`.
    Ours,
    /// ipvsadm.
    Theirs,
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Program {
    /// Runs it with arguments and standard input.
    pub(crate) fn run(
        self,
        lab: &Lab,
        place: Namespace,
        arguments: &[String],
        input: &str,
    ) -> Result<Said> {
        let mut command = match self {
            Self::Ours => Command::new(&lab.pgvs),
            Self::Theirs => Command::new("ipvsadm"),
        };
        if self == Self::Ours {
            command.arg("ipvsadm");
        }
        command.args(arguments);
        said(command, place, input).with_context(|| format!("{self:?} {}", arguments.join(" ")))
    }

    /// A line that must succeed, in the director.
    pub(crate) fn fine(self, lab: &Lab, line: &str, input: &str) -> Result<Said> {
        let said = self.run(lab, Namespace::Director, &words(line), input)?;
        ensure!(said.code == Some(0), "{self:?} {line}: {said:?}\n{input}");
        Ok(said)
    }

    /// Lines of `-R` that must all succeed, in the director; what they print.
    pub(crate) fn lines(self, lab: &Lab, lines: &str) -> Result<String> {
        let said = self.fine(lab, "-R", lines)?;
        ensure!(said.err.is_empty(), "{self:?} -R said {:?}\nof\n{lines}", said.err);
        Ok(said.out)
    }
}

/// Runs a program there with standard input; how it ended.
pub(crate) fn said(mut command: Command, place: Namespace, input: &str) -> Result<Said> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    place.inside(|| {
        let mut child = command.spawn().context("start it")?;
        let stdin = child.stdin.take();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Whoever ends before it has read everything closes the pipe.
                stdin.map(|mut stdin| stdin.write_all(input.as_bytes()))
            });
            let output = child.wait_with_output()?;
            Ok(Said {
                code: output.status.code(),
                out: String::from_utf8(output.stdout)?,
                err: String::from_utf8(output.stderr)?,
            })
        })
    })
}

/// The words of a command line between blanks; `''` is none.
pub(crate) fn words(line: &str) -> Vec<String> {
    line.split(' ').map(|word| word.replace("''", "")).collect()
}

/// Both texts are the same, or the first line that is not with the five before it.
pub(crate) fn same_text(what: &str, ours: &str, theirs: &str) -> Result<()> {
    if ours == theirs {
        return Ok(());
    }
    let mut before: Vec<&str> = Vec::new();
    let mut lines = theirs.split('\n');
    for ours in ours.split('\n') {
        let theirs = lines.next();
        if theirs != Some(ours) {
            let from = before.len().saturating_sub(5);
            let context = before[from..].join("\n");
            bail!("{what}: behind\n{context}\nours {ours:?}, ipvsadm's {theirs:?}");
        }
        before.push(ours);
    }
    bail!("{what}: ipvsadm's goes on with {:?}", lines.next());
}
