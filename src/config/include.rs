//! `include`: which files belong to a configuration besides the first one.
//!
//! Only what a pattern means; directories are listed by whoever reads the files.

use std::path::PathBuf;

use super::report::Place;

/// At most so many files may be included.
pub const MAX_FILES: usize = 1000;

/// One pattern of the main file's `include`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Include {
    /// The directory to look in, as seen from the working directory.
    pub directory: PathBuf,
    /// The file's name: `*` stands for any characters, `?` for one.
    pub name: Box<str>,
    pub(super) place: Place,
}

impl Include {
    /// Whether the pattern can stand for several files, or for none.
    pub fn is_pattern(&self) -> bool {
        has_wildcard(&self.name)
    }

    /// Whether a file's name matches; as in shells, a leading dot must be written.
    pub fn matches(&self, name: &str) -> bool {
        name.starts_with('.') == self.name.starts_with('.') && matches(&self.name, name)
    }
}

/// Whether a text holds characters that stand for others.
pub(crate) fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// Matches without recursion: time is at most pattern times name, whatever the number of stars.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let (mut pattern, mut name) = (pattern.chars(), name.chars());
    // Where to go on after the last star took one more character.
    let mut retry = None;
    loop {
        let before_name = name.clone();
        match (pattern.next(), name.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                retry = Some((pattern.clone(), before_name.clone()));
                name = before_name;
            }
            (Some('?'), Some(_)) => (),
            (Some(wanted), Some(seen)) if wanted == seen => (),
            _ => {
                let Some((after_star, mut rest)) = retry.take() else {
                    return false;
                };
                if rest.next().is_none() {
                    return false;
                }
                pattern = after_star.clone();
                name = rest.clone();
                retry = Some((after_star, rest));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_shells() {
        for (pattern, name, expected) in [
            ("*.toml", "a.toml", true),
            ("*.toml", ".toml", false),
            ("*.toml", ".a.toml", false),
            (".*.toml", ".a.toml", true),
            ("*.toml", "a.toml~", false),
            ("*.toml", "a.tomltoml", false),
            ("*.toml", "a.toml.toml", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a*", "a", true),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b", false),
            ("orders.toml", "orders.toml", true),
            ("ä?.toml", "äö.toml", true),
        ] {
            let include = Include {
                directory: PathBuf::new(),
                name: pattern.into(),
                place: Place::new(0, 0..0),
            };
            assert_eq!(include.matches(name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn many_stars_do_not_take_long() {
        assert!(!matches(&"*a".repeat(2000), &"a".repeat(1999)));
        assert!(matches(&"*a".repeat(2000), &"a".repeat(2000)));
    }
}
