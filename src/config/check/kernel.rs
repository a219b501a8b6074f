//! `[kernel]`: timeouts and the sysctls of IPVS, each with what the kernel takes (net/netfilter/ipvs/ip_vs_ctl.c).

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;

use super::Check;
use super::value::{self, Written, written};
use crate::config::KernelSettings;
use crate::config::file::{self, Field, File, Scalar};
use crate::config::report::{Draft, Place};
use crate::model::kernel::Timeouts;
use crate::model::setting::{Sysctl, SysctlValue};

/// The longest timeout in seconds: `INT_MAX / HZ` of a kernel with 1000 ticks a second.
const TIMEOUT: u32 = 2_147_483;

/// Linux asks after so many seconds whether an idle session lives (`net.ipv4.tcp_keepalive_time`).
const KEEPALIVE: u32 = 7200;

const INT: i64 = 2_147_483_647;

/// What the value of a sysctl may be.
enum Form {
    /// 0 or 1; `true` and `false` are taken as well.
    Switch,
    /// A number of a range.
    Number(RangeInclusive<i64>),
    /// 1, 2, 4 and so on, up to this.
    PowerOfTwo(i64),
    /// Processors: "0-3,8".
    Processors,
}

/// What a sysctl takes; its name is one that the file's tables know.
fn form(name: &str) -> Form {
    match name {
        // The kernel turns 1 into 2 and back by itself (`update_defense_level`).
        "drop_entry" | "drop_packet" | "secure_tcp" => Form::Number(0..=3),
        "conn_reuse_mode" | "sync_retries" => Form::Number(0..=3),
        "am_droprate" => Form::Number(1..=INT),
        "amemthresh" | "sync_sock_size" => Form::Number(0..=INT),
        "sync_qlen_max" => Form::Number(1..=INT),
        "sync_refresh_period" => Form::Number(0..=TIMEOUT.into()),
        "sync_ports" => Form::PowerOfTwo(64),
        "est_cpulist" => Form::Processors,
        "est_nice" => Form::Number(-20..=19),
        "conn_lfactor" | "svc_lfactor" => Form::Number(-8..=8),
        "debug_level" => Form::Number(0..=12),
        _ => Form::Switch,
    }
}

impl Check<'_> {
    pub(super) fn kernel(&mut self, main: &File) -> KernelSettings {
        let none = file::Kernel::default();
        let header = main.kernel.as_ref().map(|kernel| Place::new(0, kernel.span()));
        let file = main.kernel.as_ref().map_or(&none, |kernel| &kernel.get_ref().0);
        let manage = value::boolean(self.report, written(0, file.manage.as_ref()), true);
        let timeouts = Timeouts {
            tcp: self.tcp_timeout(&file.tcp_timeout),
            tcp_fin: self.idle_timeout(&file.tcp_fin_timeout).unwrap_or(0),
            udp: self.idle_timeout(&file.udp_timeout).unwrap_or(0),
        };
        let sysctls = self.sysctls(file);
        let sync_daemons = self.sync_daemons(main);
        let is_set = [&file.tcp_timeout, &file.tcp_fin_timeout, &file.udp_timeout];
        let is_anything_set = is_set.iter().any(|field| field.is_some())
            || !sysctls.is_empty()
            || !sync_daemons.is_empty();
        if let Some(header) = header.filter(|_| !manage && is_anything_set) {
            let place = written(0, file.manage.as_ref()).map_or(header, |written| written.place);
            let draft =
                Draft::new("`manage` is off: nothing of [kernel] and [[sync_daemon]] is set")
                    .at(place, "off");
            self.report.warning(draft.help("take the other keys out, or `manage = false`"));
        }
        KernelSettings { manage, timeouts, sysctls, sync_daemons }
    }

    fn tcp_timeout(&mut self, field: &Field) -> u32 {
        let Some(seconds) = self.idle_timeout(field) else {
            return KernelSettings::TCP_TIMEOUT;
        };
        if let Some(written) = written(0, field.as_ref()).filter(|_| seconds <= KEEPALIVE) {
            let draft = Draft::new(
                "sessions that are idle for longer than `tcp_timeout` are reset with their next packet",
            );
            self.report.warning(
                draft.at(written.place, "shorter than Linux's keepalive of 2h").help(
                    "write more than 2h, or set tcp_keepalives_idle of clients or servers below it",
                ),
            );
        }
        seconds
    }

    /// A timeout of the kernel in whole seconds; none where nothing is written or accepted.
    fn idle_timeout(&mut self, field: &Field) -> Option<u32> {
        let written = written(0, field.as_ref())?;
        let range = Duration::from_secs(1)..=Duration::from_secs(TIMEOUT.into());
        let refused = self.report.errors();
        let timeout = value::duration(self.report, Some(written), range, Duration::ZERO);
        if self.report.errors() == refused && timeout.subsec_nanos() > 0 {
            let draft = Draft::new("the kernel's timeouts are whole seconds");
            self.report.error(draft.at(written.place, "a fraction").help("write whole seconds"));
        }
        u32::try_from(timeout.as_secs()).ok().filter(|&seconds| seconds > 0)
    }

    fn sysctls(&mut self, file: &file::Kernel) -> BTreeMap<Sysctl, SysctlValue> {
        let mut sysctls = BTreeMap::new();
        for (name, field) in file.sysctls() {
            if let Some(written) = written(0, field.as_ref())
                && let Some(text) = self.sysctl(name, written)
            {
                self.surprise(name, &text, written.place);
                sysctls.insert(Sysctl::new(name), SysctlValue::new(&text));
            }
        }
        if let Some(text) = self.sync_threshold(file.sync_threshold.as_ref()) {
            sysctls.insert(Sysctl::new("sync_threshold"), SysctlValue::new(&text));
        }
        sysctls
    }

    /// The value as the kernel writes it.
    fn sysctl(&mut self, name: &str, written: Written<'_>) -> Option<String> {
        let form = form(name);
        let (what, is_good): (String, &dyn Fn(i64) -> bool) = match &form {
            Form::Processors => return self.processors(written),
            Form::Switch => ("0 or 1".to_owned(), &|number| (0..=1).contains(&number)),
            Form::Number(range) => {
                (format!("a whole number, {} to {}", range.start(), range.end()), &|number| {
                    range.contains(&number)
                })
            }
            Form::PowerOfTwo(most) => (format!("1, 2, 4 and so on up to {most}"), &|number| {
                (1..=*most).contains(&number) && number.count_ones() == 1
            }),
        };
        let number = match (written.value, &form) {
            (Scalar::Integer(number), _) => i64::try_from(*number).ok(),
            (Scalar::Boolean(is_on), Form::Switch) => Some(i64::from(*is_on)),
            _ => None,
        };
        if let Some(number) = number.filter(|&number| is_good(number)) {
            return Some(number.to_string());
        }
        let draft = Draft::new(format!("not a value of net.ipv4.vs.{name}"));
        self.report.error(draft.at(written.place, "not accepted").help(format!("write {what}")));
        None
    }

    /// A list of processors as the kernel prints it: sorted, neighbours as a range.
    fn processors(&mut self, written: Written<'_>) -> Option<String> {
        let text = value::text(self.report, written)?;
        if let Some(list) = processors(text) {
            return Some(list);
        }
        let draft = Draft::new(format!("{text:?} is no list of processors"));
        let help = "write numbers and ranges, as in \"0-3,8\"";
        self.report.error(draft.at(written.place, "not accepted").help(help));
        None
    }

    /// Two numbers: the packet of a connection that is told first, and every how many it is told again.
    fn sync_threshold(&mut self, field: Option<&Spanned<Vec<Spanned<Scalar>>>>) -> Option<String> {
        let field = field?;
        let numbers: Vec<_> = field
            .get_ref()
            .iter()
            .filter_map(|scalar| {
                let Scalar::Integer(number) = scalar.get_ref() else { return None };
                i64::try_from(*number).ok()
            })
            .filter(|number| (0..=INT).contains(number))
            .collect();
        if let [first, every] = numbers[..]
            && field.get_ref().len() == 2
            && (every == 0 || first < every)
        {
            return Some(format!("{first} {every}"));
        }
        let draft = Draft::new("not a value of net.ipv4.vs.sync_threshold")
            .at(Place::new(0, field.span()), "not accepted");
        let help = "write two whole numbers, the first below the second unless that is 0: [3, 50]";
        self.report.error(draft.help(help));
        None
    }

    /// Values that the kernel takes and that will surprise.
    fn surprise(&mut self, name: &str, value: &str, place: Place) {
        if name == "conntrack" && value == "0" {
            self.no_conntrack = Some(place);
        }
        let why = match (name, value) {
            ("expire_nodest_conn", "0") => {
                "sessions of removed servers hang instead of being reset"
            }
            ("expire_quiescent_template", "0") => {
                "clients of a persistent service go on to servers of weight 0"
            }
            ("drop_entry" | "drop_packet", "3") => {
                "connections are dropped all the time, not only in an attack"
            }
            _ => return,
        };
        let draft = Draft::new(format!("net.ipv4.vs.{name} = {value}: {why}")).at(place, "this");
        self.report.warning(draft.help("leave the key out, unless that is what you want"));
    }
}

/// Numbers and ranges, sorted and joined as the kernel prints a mask (`%*pbl`).
fn processors(text: &str) -> Option<String> {
    /// More than any kernel is built for (`NR_CPUS`).
    const MOST: u32 = 8192;
    let mut all = std::collections::BTreeSet::new();
    for part in text.split(',') {
        let (from, to) = part.trim().split_once('-').unwrap_or((part.trim(), part.trim()));
        let (from, to) = (from.parse::<u32>().ok()?, to.parse::<u32>().ok()?);
        if from > to || to >= MOST {
            return None;
        }
        all.extend(from..=to);
    }
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in all {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let words = ranges.iter().map(|(from, to)| match from == to {
        true => from.to_string(),
        false => format!("{from}-{to}"),
    });
    Some(words.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_listed_as_the_kernel_lists_them() {
        assert_eq!(processors("8, 2,1,0,3").as_deref(), Some("0-3,8"));
        assert_eq!(processors("0-1,1-5").as_deref(), Some("0-5"));
        for bad in ["", "a", "3-1", "0,", "0-99999999"] {
            assert_eq!(processors(bad), None, "{bad}");
        }
    }
}
