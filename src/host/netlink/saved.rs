//! The whole of the kernel's IPVS at one moment, as a file holds it.

use super::{Kernel, KernelError, Transport};
use crate::model::saved::Saved;

/// So often the table is read until two reads are the same.
const TRIES: usize = 10;

impl<T: Transport> Kernel<T> {
    /// Everything that can be set. Dumps are not consistent while another program writes, so that it takes two that
    /// are the same.
    pub fn saved(&mut self) -> Result<Saved, KernelError> {
        let mut before = None;
        for _ in 0..TRIES {
            let read = self.read_once()?;
            if before.as_ref() == Some(&read) {
                return Ok(read);
            }
            before = Some(read);
        }
        Err(KernelError::Restless)
    }

    fn read_once(&mut self) -> Result<Saved, KernelError> {
        let (table, _) = self.dump(&[])?;
        let mut daemons = self.daemons()?;
        daemons.sort_by_key(|daemon| daemon.role);
        Ok(Saved { table, timeouts: Some(self.config()?), daemons })
    }
}
