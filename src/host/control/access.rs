//! Who may change things over the control socket.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Whoever may connect may look. Changes are for root, for the daemon's own user, and for those to whom the
/// socket's permissions for its group let the connection through: while others may not connect, whoever did has
/// passed the kernel's check of these; where others may, only the group itself counts.
pub(super) fn may_change(peer: Peer, own_uid: u32, socket: Bits) -> bool {
    let others_may_connect = socket.mode & 0o002 != 0;
    let group_may_connect = socket.mode & 0o020 != 0;
    peer.uid == 0
        || peer.uid == own_uid
        || (group_may_connect && (!others_may_connect || peer.gid == socket.gid))
}

/// The credentials of the other side (`SO_PEERCRED`).
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    /// Its user.
    pub(super) uid: u32,
    /// Its first group.
    pub(super) gid: u32,
}

/// The permissions of a socket's file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bits {
    mode: u32,
    gid: u32,
}

impl Bits {
    /// As they are; nobody's where the file is gone.
    pub(super) fn of(path: &Path) -> Self {
        match std::fs::symlink_metadata(path) {
            Ok(found) => Self { mode: found.mode(), gid: found.gid() },
            Err(_) => Self { mode: 0, gid: 0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permission_bits_say_who_may_change() {
        let socket = |mode| Bits { mode, gid: 50 };
        let peer = |uid, gid| Peer { uid, gid };
        // (peer, mode of the socket, may it)
        let table = [
            (peer(0, 0), 0o600, true),
            (peer(900, 900), 0o600, true),
            (peer(1000, 1000), 0o600, false),
            // Let through by a supplementary group, or it would not be here.
            (peer(1000, 1000), 0o660, true),
            (peer(1000, 50), 0o660, true),
            (peer(1000, 1000), 0o666, false),
            (peer(1000, 50), 0o666, true),
            (peer(1000, 50), 0o606, false),
            (peer(0, 0), 0o666, true),
        ];
        for (peer, mode, expected) in table {
            assert_eq!(may_change(peer, 900, socket(mode)), expected, "{peer:?} {mode:o}");
        }
    }

    #[test]
    fn without_the_file_only_root_and_the_daemon_may() {
        let bits = Bits::of(Path::new("/nonexistent/socket"));
        assert!(!may_change(Peer { uid: 1000, gid: 0 }, 900, bits));
        assert!(may_change(Peer { uid: 0, gid: 0 }, 900, bits));
    }
}
