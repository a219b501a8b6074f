//! Reads the files of other programs for `pgvs import`: bounded, and as text whatever they hold.
//!
//! Decides nothing about contents.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{MAX_TOTAL_BYTES, said};
use crate::config::include::{MAX_FILES, has_wildcard, matches};
use crate::import::Loader;

/// The standard input as text.
pub fn standard_input() -> Result<String, String> {
    read_bounded(io::stdin().lock())
}

/// A file, or a pipe that somebody writes, as text: what is not UTF-8 becomes U+FFFD.
pub fn read(path: &Path) -> Result<String, String> {
    let file = File::open(path).map_err(|error| said(&error))?;
    if file.metadata().is_ok_and(|it| it.is_dir()) {
        return Err("is a directory".to_owned());
    }
    read_bounded(file)
}

fn read_bounded(from: impl Read) -> Result<String, String> {
    let limit = u64::try_from(MAX_TOTAL_BYTES).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    from.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| said(&error))?;
    if bytes.len() > MAX_TOTAL_BYTES {
        return Err(format!("longer than {MAX_TOTAL_BYTES} bytes"));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Included files, as many and as long as those of a configuration may be.
#[derive(Debug)]
pub struct Included {
    files: Cell<usize>,
    bytes: Cell<usize>,
}

impl Default for Included {
    fn default() -> Self {
        Self { files: Cell::new(MAX_FILES), bytes: Cell::new(MAX_TOTAL_BYTES) }
    }
}

impl Loader for Included {
    fn load(&self, from: &str, pattern: &str) -> Result<Vec<(String, String)>, String> {
        let mut texts = Vec::new();
        for path in paths(Path::new(from), Path::new(pattern))? {
            let name = path.display().to_string();
            if path.is_dir() {
                continue;
            }
            let files = self.files.get().checked_sub(1);
            self.files.set(files.ok_or_else(|| format!("more than {MAX_FILES} included files"))?);
            let text = read(&path).map_err(|error| format!("read {name}: {error}"))?;
            let bytes = self.bytes.get().checked_sub(text.len());
            self.bytes
                .set(bytes.ok_or_else(|| format!("more than {MAX_TOTAL_BYTES} bytes included"))?);
            texts.push((name, text));
        }
        Ok(texts)
    }
}

/// The files of a pattern, sorted by name.
fn paths(from: &Path, pattern: &Path) -> Result<Vec<PathBuf>, String> {
    let directory = from.parent().unwrap_or(Path::new(""));
    let path = directory.join(pattern);
    let (parent, name) = (path.parent().unwrap_or(Path::new("")), path.file_name());
    let Some(name) = name.and_then(|name| name.to_str()) else {
        return Err("it names no file".to_owned());
    };
    if has_wildcard(&parent.to_string_lossy()) || name.contains(['[', '{']) {
        return Err("only `*` and `?` in the last part of a path are understood".to_owned());
    }
    if !has_wildcard(name) {
        return Ok(vec![path]);
    }
    let listed = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let entries = fs::read_dir(listed)
        .map_err(|error| format!("list {}: {}", parent.display(), said(&error)))?;
    let mut names = Vec::new();
    for entry in entries.take(MAX_FILES.saturating_mul(10)) {
        let found = entry.map_err(|error| said(&error))?.file_name();
        let found = found.to_string_lossy().into_owned();
        if found.starts_with('.') == name.starts_with('.') && matches(name, &found) {
            names.push(found);
        }
    }
    names.sort();
    Ok(names.into_iter().map(|name| parent.join(name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn included_files_are_found_beside_the_file_and_sorted() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::create_dir(path("conf.d")).unwrap();
        for name in ["conf.d/b.conf", "conf.d/a.conf", "conf.d/.hidden.conf", "conf.d/a.txt"] {
            fs::write(path(name), name).unwrap();
        }
        let main = path("keepalived.conf");
        let load = |pattern| Included::default().load(main.to_str().unwrap(), pattern);
        let texts: Vec<String> =
            load("conf.d/*.conf").unwrap().into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, ["conf.d/a.conf", "conf.d/b.conf"]);
        assert!(load("missing.conf").unwrap_err().contains("no such file"));
        assert!(load("*/a.conf").unwrap_err().contains("last part"));
    }

    #[test]
    fn a_file_that_is_no_text_is_text_all_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("latin1.cfg");
        fs::write(&path, b"# caf\xe9\nlisten a\n").unwrap();
        assert_eq!(read(&path).unwrap(), "# caf\u{fffd}\nlisten a\n");
        assert_eq!(read(directory.path()).unwrap_err(), "is a directory");
    }
}
