use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives};

use crate::group::names;

/// Where this process stands among all.
pub(super) struct Place {
    pub(super) rank: usize,
    pub(super) local_rank: usize,
    /// Of every rank.
    pub(super) hosts: Vec<String>,
}

/// Longer names are cut.
const HOST: usize = 64;

impl Place {
    /// Asks MPI. The number on this machine comes from a communicator of those that share its memory,
    /// which is the truth under every launcher; their variables have different names and may be
    /// inherited from another launch.
    pub(super) fn find(world: &SimpleCommunicator) -> Self {
        let index = |number| usize::try_from(number).unwrap_or(0);
        let local_rank = index(world.split_shared(world.rank()).rank());
        let name = mpi::environment::processor_name().unwrap_or_default();
        let mut mine = [0_u8; HOST];
        let len = name.len().min(HOST);
        mine[..len].copy_from_slice(&name.as_bytes()[..len]);
        let mut all = vec![0_u8; HOST * index(world.size())];
        world.all_gather_into(&mine[..], &mut all[..]);
        let hosts = all.chunks(HOST).map(|host| {
            let host = String::from_utf8_lossy(host);
            host.trim_end_matches('\0').to_owned()
        });
        let (rank, hosts) = (index(world.rank()), hosts.collect());
        Self {
            rank,
            local_rank,
            hosts,
        }
    }

    /// `rank 3 (node7) has`.
    pub(super) fn names(&self, ranks: &[usize]) -> String {
        let on_host = |rank: &usize| format!("{rank} ({})", self.hosts[*rank]);
        let ranks: Vec<_> = ranks.iter().map(on_host).collect();
        names(&ranks, "has", "have")
    }
}
