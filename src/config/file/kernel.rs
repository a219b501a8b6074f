//! `[kernel]` and `[[sync_daemon]]` as written: one key for each sysctl of IPVS, by the kernel's own name.
//!
//! Nothing is judged here; what each value may be stands in `check`.

use serde::Deserialize;
use toml::Spanned;

use super::{Field, Scalar};

macro_rules! kernel {
    ($($sysctl:ident)*) => {
        /// `[kernel]`.
        #[derive(Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(in crate::config) struct Kernel {
            pub(in crate::config) manage: Field,
            pub(in crate::config) tcp_timeout: Field,
            pub(in crate::config) tcp_fin_timeout: Field,
            pub(in crate::config) udp_timeout: Field,
            pub(in crate::config) sync_threshold: Option<Spanned<Vec<Spanned<Scalar>>>>,
            $($sysctl: Field,)*
        }

        impl Kernel {
            /// The sysctls of one value, by the kernel's names.
            pub(in crate::config) fn sysctls(&self) -> Vec<(&'static str, &Field)> {
                vec![$((stringify!($sysctl), &self.$sysctl),)*]
            }
        }
    };
}

kernel! {
    expire_nodest_conn expire_quiescent_template conn_reuse_mode conntrack sloppy_tcp sloppy_sctp
    drop_entry drop_packet secure_tcp am_droprate amemthresh
    schedule_icmp nat_icmp_send ignore_tunneled cache_bypass snat_reroute pmtu_disc backup_only
    sync_version sync_refresh_period sync_retries sync_persist_mode sync_ports sync_qlen_max sync_sock_size
    run_estimation est_cpulist est_nice conn_lfactor svc_lfactor debug_level
}

/// `[[sync_daemon]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct SyncDaemon {
    pub(in crate::config) role: Field,
    pub(in crate::config) interface: Field,
    pub(in crate::config) sync_id: Field,
    pub(in crate::config) group: Field,
    pub(in crate::config) port: Field,
    pub(in crate::config) ttl: Field,
    pub(in crate::config) max_length: Field,
}
