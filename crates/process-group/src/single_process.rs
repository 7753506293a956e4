use crate::{Collective, Collectives, Error, Pending, ProcessGroup};

/// The group of a single process: every collective returns its buffer unchanged.
#[derive(Clone, Copy, Debug, Default)]
pub struct SingleProcess;

impl<B: Send + 'static> Collectives<B> for SingleProcess {
    fn start(&self, collective: Collective, buffer: B) -> Pending<B> {
        // One rank can divide every length; only the root can be wrong.
        Pending::ready(collective.shard_len(1, 1).map(|_| buffer))
    }
}

impl ProcessGroup for SingleProcess {
    fn rank(&self) -> usize {
        0
    }

    fn world_size(&self) -> usize {
        1
    }

    fn local_rank(&self) -> usize {
        0
    }

    fn barrier(&self) -> Result<(), Error> {
        Ok(())
    }

    fn all_gather_bytes(&self, mine: Vec<u8>) -> Result<Vec<Vec<u8>>, Error> {
        Ok(vec![mine])
    }

    fn health(&self) -> Result<(), Error> {
        Ok(())
    }

    fn abort(&self, exit_code: i32) -> ! {
        std::process::exit(exit_code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collectives_return_their_buffer_unchanged() {
        let group: &dyn ProcessGroup = &SingleProcess;
        let numbers = vec![1.0, f32::MIN_POSITIVE, -0.0];
        for collective in [
            Collective::AllReduce,
            Collective::Broadcast { root: 0 },
            Collective::AllGather,
            Collective::ReduceScatter,
        ] {
            let back = group.start(collective, numbers.clone()).wait().unwrap();
            let bits =
                |numbers: &[f32]| -> Vec<u32> { numbers.iter().map(|x| x.to_bits()).collect() };
            assert_eq!(bits(&back), bits(&numbers), "{collective}");
        }
        group.barrier().unwrap();
        assert_eq!(group.all_gather_bytes(vec![7]).unwrap(), [[7]]);
        assert_eq!(group.sum(&[0.1, 2.0]).unwrap(), [0.1, 2.0]);
        group.check_equal("configuration", b"a").unwrap();
        assert_eq!(
            (group.rank(), group.world_size(), group.local_rank()),
            (0, 1, 0)
        );
    }

    #[test]
    fn a_root_other_than_rank_0_is_an_error() {
        let error = SingleProcess.broadcast(vec![0_u8], 1).unwrap_err();
        assert_eq!(error.to_string(), "there is no rank 1 among 1");
    }
}
