//! What ipvsadm says when the kernel cannot be used.

/// ipvsadm's two lines when it cannot start.
pub fn cannot_start(reason: &str) -> String {
    format!(
        "Can't initialize ipvs: {reason}\n\
         Are you sure that IP Virtual Server is built in the kernel or as module?"
    )
}

/// Without CAP_NET_ADMIN (`EPERM`).
pub const PERMISSION: &str = "Permission denied (you must be root)";
/// Without the module (`ENOPROTOOPT`).
pub const NO_MODULE: &str = "Protocol not available";

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = include_str!("../../integration/golden/ipvsadm.txt");

    #[test]
    fn the_refusal_without_permission_is_ipvsadms() {
        assert!(GOLDEN.contains(&format!("\n{}\n", cannot_start(PERMISSION))));
    }
}
