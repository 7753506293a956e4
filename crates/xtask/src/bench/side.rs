//! Who takes part in a race.

use std::fmt;

/// One of the contestants: a device of ours, or a way of the peer's to pad.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Side {
    pub(super) kind: Kind,
    /// `bf16` inside products of `f32`.
    pub(super) medium: bool,
    /// Mixed precision.
    pub(super) bf16: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `run.device`
    Ours(String),
    /// `--pad` of tools/reference/peer.py
    Peer(String),
}

impl Side {
    /// `DEVICE[+medium][+bf16]`
    pub(super) fn ours(name: &str) -> Result<Self, String> {
        Self::parse(name, Kind::Ours)
    }

    /// `max` or `group`, with `[+medium][+bf16]`
    pub(super) fn peer(name: &str) -> Result<Self, String> {
        match name.split('+').next() {
            Some("max" | "group") => Self::parse(name, Kind::Peer),
            _ => Err(format!("the peer pads by max or group, not {name}")),
        }
    }

    fn parse(name: &str, kind: fn(String) -> Kind) -> Result<Self, String> {
        let mut parts = name.split('+');
        let first = parts.next().unwrap_or_default().to_owned();
        let mut side = Self {
            kind: kind(first),
            medium: false,
            bf16: false,
        };
        for part in parts {
            match part {
                "medium" => side.medium = true,
                "bf16" => side.bf16 = true,
                _ => return Err(format!("{name}: there is +medium and +bf16, not +{part}")),
            }
        }
        Ok(side)
    }

    pub(super) fn is_ours(&self) -> bool {
        matches!(self.kind, Kind::Ours(_))
    }

    /// Whether its products are of `f32` throughout.
    pub(super) fn is_f32(&self) -> bool {
        !self.medium && !self.bf16
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match &self.kind {
            Kind::Ours(device) => write!(f, "ours, {device}")?,
            Kind::Peer(pad) => write!(f, "peer, {pad}")?,
        }
        f.write_str(if self.medium { " medium" } else { "" })?;
        f.write_str(if self.bf16 { " bf16" } else { "" })
    }
}
