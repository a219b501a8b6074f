//! Asking the generic netlink controller for the number of the IPVS family; asking also loads the module.

use netlink_packet_core::{self as core, NetlinkMessage, ParseableParametrized};
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use netlink_packet_generic::{GenlHeader, GenlMessage};

use super::attr::Attrs;
use super::ids;

/// The number under which the kernel runs the IPVS family until the module is unloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FamilyReply(pub u16);

/// Appends the request (`CTRL_CMD_GETFAMILY`); `ENOENT` if there is no such family.
pub fn append_lookup(sequence: u32, batch: &mut Vec<u8>) {
    let mut message = NetlinkMessage::from(GenlMessage::from_payload(GenlCtrl {
        cmd: GenlCtrlCmd::GetFamily,
        nlas: vec![GenlCtrlAttrs::FamilyName(ids::FAMILY.into())],
    }));
    message.header.flags = core::NLM_F_REQUEST;
    message.header.sequence_number = sequence;
    message.finalize();
    let start = batch.len();
    batch.resize(start + message.buffer_len(), 0);
    if let Some(room) = batch.get_mut(start..) {
        message.serialize(room);
    }
}

/// Read with our own attributes, since those of the crate refuse what a newer kernel adds.
impl ParseableParametrized<[u8], GenlHeader> for FamilyReply {
    fn parse_with_param(bytes: &[u8], _: GenlHeader) -> Result<Self, core::DecodeError> {
        let number = Attrs::read(bytes).and_then(|attrs| attrs.u16(ids::CTRL_FAMILY_ID));
        let error = |error: super::DecodeError| core::DecodeError::from(error.to_string());
        number.map(Self).map_err(error)
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::{Payload, messages};
    use super::*;

    #[test]
    fn the_lookup_names_the_family() {
        let mut bytes = Vec::new();
        append_lookup(7, &mut bytes);
        // nlmsghdr for GENL_ID_CTRL, genlmsghdr for CTRL_CMD_GETFAMILY, then CTRL_ATTR_FAMILY_NAME with its NUL.
        let expected: [&[u8]; 4] = [
            &[32, 0, 0, 0, 16, 0, 1, 0, 7, 0, 0, 0, 0, 0, 0, 0],
            &[3, 2, 0, 0],
            &[9, 0, 2, 0],
            b"IPVS\0\0\0\0",
        ];
        assert_eq!(bytes, expected.concat());
    }

    #[test]
    fn the_number_is_found_among_attributes_that_we_do_not_know() {
        let bytes: [&[u8]; 4] = [
            &[36, 0, 0, 0, 16, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0],
            &[1, 2, 0, 0],
            &[8, 0, 200, 0, 1, 2, 3, 4],
            &[6, 0, 1, 0, 28, 0, 0, 0],
        ];
        let read: Vec<_> = messages::<FamilyReply>(&bytes.concat(), |_| true)
            .map(|message| message.unwrap().payload)
            .collect();
        assert_eq!(read, [Payload::Reply(FamilyReply(28))]);
    }
}
