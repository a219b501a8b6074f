//! Password files: the first line of a file that only its owner may read.
//!
//! Read anew at every login, so that a password can be changed without a reload.

use std::fmt;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::config::outside::PasswordFileError;

/// The longest password, in bytes; tokens that serve as passwords are some 2,000 long.
const MAX_BYTES: usize = 8192;

/// A password, which no log and no error shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Box<str>);

impl Password {
    /// The password, for the server alone.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Reads the password of a file that is closed to all but its owner.
pub fn read(path: &Path) -> Result<Password, PasswordFileError> {
    let unreadable = |error: std::io::Error| PasswordFileError::Unreadable {
        path: path.to_owned(),
        said: super::said(&error).into(),
    };
    let file = super::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(PasswordFileError::NotAFile(path.to_owned()));
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(PasswordFileError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_BYTES)
        .unwrap_or(u64::MAX)
        .saturating_add(2);
    file.take(limit)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    let line = bytes
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match std::str::from_utf8(line) {
        Ok(text) if (1..=MAX_BYTES).contains(&text.len()) && !text.contains('\0') => {
            Ok(Password(text.into()))
        }
        _ => Err(PasswordFileError::NoPassword(path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;

    fn file(contents: &[u8], mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("pass");
        fs::write(&path, contents).expect("a file");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("its mode");
        (directory, path)
    }

    #[test]
    fn the_first_line_is_the_password() {
        for contents in ["s3cret", "s3cret\n", "s3cret\r\n", "s3cret\nand more\n"] {
            let (_directory, path) = file(contents.as_bytes(), 0o600);
            assert_eq!(read(&path).unwrap().expose(), "s3cret", "{contents:?}");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_refused_with_the_command_that_closes_it() {
        for mode in [0o640, 0o604, 0o620, 0o644] {
            let (_directory, path) = file(b"s3cret\n", mode);
            let error = read(&path).unwrap_err();
            assert_eq!(
                error,
                PasswordFileError::Exposed {
                    path: path.clone(),
                    mode
                }
            );
            assert_eq!(error.help(), format!("chmod 600 {}", path.display()));
        }
    }

    #[test]
    fn a_file_without_a_password_is_refused() {
        for contents in [&b""[..], b"\nx", b"\xff\n", b"a\0b\n", &[b'x'; 8193]] {
            let (_directory, path) = file(contents, 0o600);
            assert_eq!(
                read(&path),
                Err(PasswordFileError::NoPassword(path.clone()))
            );
        }
    }

    #[test]
    fn what_is_not_there_or_not_a_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing");
        let error = read(&missing).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("missing: no such file or directory"),
            "{error}"
        );
        let path = directory.path();
        assert_eq!(
            read(path),
            Err(PasswordFileError::NotAFile(path.to_owned()))
        );
    }

    #[test]
    fn a_pipe_without_a_writer_does_not_block() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert_eq!(read(&path), Err(PasswordFileError::NotAFile(path.clone())));
    }

    #[test]
    fn a_password_is_not_shown() {
        let (_directory, path) = file(b"s3cret\n", 0o600);
        let shown = format!("{:?}", read(&path).unwrap());
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
