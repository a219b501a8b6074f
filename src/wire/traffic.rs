//! The counters of a service or destination, in their 64-bit and their older 32-bit form.

use super::DecodeError;
use super::attr::Attrs;
use super::ids::{Id, stats};
use crate::model::kernel::{Rate, Traffic};

impl Traffic {
    /// The counters in a service's or destination's attributes: 64 bits wide where the kernel sends them
    /// (since Linux 4.1), else 32; `None` where it sends neither.
    pub(super) fn decode(
        attrs: &Attrs<'_>,
        wide: Id,
        narrow: Id,
    ) -> Result<Option<Self>, DecodeError> {
        if let Some(bytes) = attrs.optional(wide) {
            let nest = Attrs::read(bytes)?;
            return Self::from_nest(&nest, |id| nest.u64(id)).map(Some);
        }
        let Some(bytes) = attrs.optional(narrow) else {
            return Ok(None);
        };
        let nest = Attrs::read(bytes)?;
        Self::from_nest(&nest, |id| nest.u32(id).map(u64::from)).map(Some)
    }

    /// Only the bytes are 64 bits wide in both forms; `count` reads the others.
    fn from_nest(
        nest: &Attrs<'_>,
        count: impl Fn(Id) -> Result<u64, DecodeError>,
    ) -> Result<Self, DecodeError> {
        Ok(Self {
            connections: count(stats::CONNS)?,
            packets_in: count(stats::INPKTS)?,
            packets_out: count(stats::OUTPKTS)?,
            bytes_in: nest.u64(stats::INBYTES)?,
            bytes_out: nest.u64(stats::OUTBYTES)?,
            rate: Rate {
                connections: count(stats::CPS)?,
                packets_in: count(stats::INPPS)?,
                packets_out: count(stats::OUTPPS)?,
                bytes_in: count(stats::INBPS)?,
                bytes_out: count(stats::OUTBPS)?,
            },
        })
    }
}
