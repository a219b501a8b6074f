//! The probe's password: read from its file at every login, and never shown.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::host::files::said;

/// How long a password file may be, in bytes.
const LIMIT: u64 = 4096;

/// The permission bits of group and others.
const NOT_THE_OWNER: u32 = 0o077;

/// A password that cannot get into a log by accident.
pub(super) struct Password(Vec<u8>);

impl Password {
    /// The bytes to send or to prove.
    pub(super) fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Whether the file can be used as a password file; in words what is wrong with it and what to do.
pub fn check(path: &Path) -> Result<(), String> {
    read(path).map(drop)
}

/// Reads the password: the whole file without one trailing line end.
///
/// Blocks on the disk.
pub(super) fn read(path: &Path) -> Result<Password, String> {
    let shown = path.display();
    let file = OpenOptions::new()
        .read(true)
        // A named pipe without a writer would block for ever.
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .map_err(|error| format!("read password file {shown}: {}", said(&error)))?;
    check_file(&file).map_err(|what| format!("password file {shown} {what}"))?;
    let mut bytes = Vec::new();
    file.take(LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("read password file {shown}: {}", said(&error)))?;
    check_content(bytes).map_err(|what| format!("password file {shown} {what}"))
}

/// Judges the open file, so that nobody can exchange it in between.
fn check_file(file: &File) -> Result<(), String> {
    let meta = file.metadata().map_err(|error| format!("cannot be examined: {}", said(&error)))?;
    if meta.is_dir() {
        return Err("is a directory: name a file that holds only the password".into());
    }
    if !meta.is_file() {
        return Err("is not a regular file".into());
    }
    let mode = meta.mode() & 0o7777;
    if mode & NOT_THE_OWNER != 0 {
        return Err(format!(
            "is open to its group or to others (mode {mode:04o}): make it the daemon's own with chmod 0600"
        ));
    }
    Ok(())
}

/// Strips one line end and judges what is left.
fn check_content(mut bytes: Vec<u8>) -> Result<Password, String> {
    if u64::try_from(bytes.len()).is_ok_and(|length| length > LIMIT) {
        return Err(format!("is longer than {LIMIT} bytes: it must hold only the password"));
    }
    if bytes.ends_with(b"\n") {
        bytes.pop();
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
    if bytes.is_empty() {
        return Err("is empty".into());
    }
    if bytes.contains(&0) {
        return Err("holds a zero byte, which no password can".into());
    }
    Ok(Password(bytes))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;

    struct Directory(tempfile::TempDir);

    impl Directory {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn file(&self, content: &[u8], mode: u32) -> PathBuf {
            let path = self.0.path().join("pass");
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            path
        }
    }

    #[test]
    fn the_password_is_the_file_without_its_last_line_end() {
        let table: [(&[u8], &[u8]); 5] = [
            (b"secret", b"secret"),
            (b"secret\n", b"secret"),
            (b"secret\r\n", b"secret"),
            (b"secret\n\n", b"secret\n"),
            (b" se cret ", b" se cret "),
        ];
        let directory = Directory::new();
        for (content, password) in table {
            let path = directory.file(content, 0o600);
            assert_eq!(read(&path).unwrap().reveal(), password);
        }
    }

    #[test]
    fn a_file_open_to_others_is_refused_with_its_mode_and_the_remedy() {
        for mode in [0o640, 0o604, 0o620, 0o610, 0o601, 0o644, 0o660] {
            let directory = Directory::new();
            let said = check(&directory.file(b"secret", mode)).unwrap_err();
            assert!(said.contains(&format!("mode {mode:04o}")), "{said}");
            assert!(said.contains("chmod 0600"), "{said}");
        }
    }

    #[test]
    fn what_is_no_password_file_is_refused_by_name() {
        let directory = Directory::new();
        let long = vec![b'x'; 4097];
        let table: [(&[u8], &str); 4] =
            [(b"", "is empty"), (b"\n", "is empty"), (b"a\0b", "zero byte"), (&long, "4096 bytes")];
        for (content, expected) in table {
            let path = directory.file(content, 0o600);
            let said = check(&path).unwrap_err();
            assert!(said.contains(expected), "{said}");
            assert!(said.contains(&path.display().to_string()), "{said}");
        }
        assert!(check(directory.0.path()).unwrap_err().contains("directory"));
        let missing = directory.0.path().join("none");
        assert!(check(&missing).unwrap_err().contains("no such file"));
    }

    #[test]
    fn the_longest_password_is_accepted() {
        let directory = Directory::new();
        let path = directory.file(&vec![b'x'; 4096], 0o400);
        assert_eq!(read(&path).unwrap().reveal().len(), 4096);
    }

    #[test]
    fn a_password_does_not_show_itself() {
        let directory = Directory::new();
        let password = read(&directory.file(b"secret", 0o600)).unwrap();
        assert!(!format!("{password:?}").contains("secret"));
    }
}
