//! Which modules the running kernel has: loaded, built in, or lying ready to be loaded.
//!
//! Reads what depmod(8) and the kernel list; loads nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The most that is read of one list, in bytes; a distribution's longest is below 1 MiB.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Whether the running kernel has each of these modules. Where its directory cannot be read, as in many containers,
/// only what is loaded is known.
pub fn present(names: &BTreeSet<Box<str>>) -> BTreeMap<Box<str>, bool> {
    if names.is_empty() {
        return BTreeMap::new();
    }
    let release = read(Path::new("/proc/sys/kernel/osrelease")).unwrap_or_default();
    let directory = Path::new("/lib/modules").join(release.trim());
    let lists = Lists {
        loaded: read(Path::new("/proc/modules")).unwrap_or_default(),
        ready: read(&directory.join("modules.dep")),
        builtin: read(&directory.join("modules.builtin")),
    };
    lists.present(names)
}

/// The kernel's lists as text; `None`: not readable.
struct Lists {
    loaded: String,
    ready: Option<String>,
    builtin: Option<String>,
}

impl Lists {
    fn present(&self, names: &BTreeSet<Box<str>>) -> BTreeMap<Box<str>, bool> {
        let loaded = self.loaded.lines().filter_map(|line| line.split(' ').next());
        let mut found: BTreeSet<String> = loaded.map(str::to_owned).collect();
        let ready = self.ready.iter().flat_map(|list| list.lines());
        let is_asked = |name: &String| names.contains(&**name);
        found.extend(ready.filter_map(|line| of_path(line.split(':').next()?)).filter(is_asked));
        let builtin = self.builtin.iter().flat_map(|list| list.lines());
        found.extend(builtin.filter_map(of_path).filter(is_asked));
        let is_complete = self.ready.is_some() && self.builtin.is_some();
        let known = names.iter().filter_map(|name| match found.contains(&**name) {
            true => Some((name.clone(), true)),
            false => is_complete.then(|| (name.clone(), false)),
        });
        known.collect()
    }
}

/// The name of a module from its file's: `kernel/net/netfilter/ipvs/ip_vs_wlc.ko.xz`.
fn of_path(path: &str) -> Option<String> {
    let file = path.trim().rsplit('/').next()?;
    let (name, _) = file.split_once(".ko")?;
    Some(name.replace('-', "_"))
}

fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(MAX_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> BTreeSet<Box<str>> {
        ["ip_vs", "ip_vs_wlc", "ip_vs_mh", "ip_vs_rr", "ip_vs_twos"].map(Box::from).into()
    }

    #[test]
    fn loaded_built_in_and_ready_modules_are_there_and_the_others_are_not() {
        let lists = Lists {
            loaded: "ip_vs_rr 16384 2 - Live 0x0\nip_vs 200704 3 ip_vs_rr, Live 0x0\n".to_owned(),
            ready: Some(
                "kernel/net/netfilter/ipvs/ip_vs_wlc.ko.xz: kernel/net/netfilter/ipvs/ip_vs.ko.xz\n"
                    .to_owned(),
            ),
            builtin: Some("kernel/net/netfilter/ipvs/ip-vs-mh.ko\n".to_owned()),
        };
        let expected = [
            ("ip_vs", true),
            ("ip_vs_wlc", true),
            ("ip_vs_mh", true),
            ("ip_vs_rr", true),
            ("ip_vs_twos", false),
        ];
        assert_eq!(lists.present(&asked()), expected.map(|(name, is)| (name.into(), is)).into());
    }

    #[test]
    fn what_cannot_be_read_is_not_said_to_be_absent() {
        let lists = Lists {
            loaded: "ip_vs 200704 3 - Live 0x0\n".to_owned(),
            ready: None,
            builtin: Some(String::new()),
        };
        assert_eq!(lists.present(&asked()), [("ip_vs".into(), true)].into());
    }
}
