//! Files that are read or replaced as a whole, with standard input and output in their place.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The text of a file; of standard input without a path.
pub fn read(path: Option<&Path>) -> io::Result<String> {
    match path {
        Some(path) => fs::read_to_string(path),
        None => {
            let mut text = String::new();
            io::stdin().lock().read_to_string(&mut text).map(|_| text)
        }
    }
}

/// Replaces a file: it is the old one or the new one, never half of either. A pipe or a device is written to.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return File::options().write(true).open(path)?.write_all(text.as_bytes());
    }
    // Through a link, so that the link stays one.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut new = path.clone().into_os_string();
    new.push(".new");
    let mut options = OpenOptions::new();
    // Not through a link, which somebody else may have laid there.
    options.write(true).create(true).truncate(true).custom_flags(libc::O_NOFOLLOW);
    let written = options.open(&new).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    let replaced = written.and_then(|()| fs::rename(&new, &path));
    // What could not be finished is not left behind; the reason counts, not this.
    replaced.inspect_err(|_| drop(fs::remove_file(&new)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_is_replaced_through_its_link_and_nothing_is_left_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        fs::write(&file, "a longer text").unwrap();
        symlink(&file, &link).unwrap();
        replace(&link, "new").unwrap();
        assert_eq!(read(Some(&file)).unwrap(), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_link_that_was_laid_for_the_new_file_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (file, other) = (directory.path().join("file"), directory.path().join("other"));
        fs::write(&other, "untouched").unwrap();
        symlink(&other, directory.path().join("file.new")).unwrap();
        assert!(replace(&file, "new").is_err());
        assert_eq!(fs::read_to_string(&other).unwrap(), "untouched");
    }
}
