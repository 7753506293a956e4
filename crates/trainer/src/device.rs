//! The one file that names backends.
#![allow(deprecated)] // Burn marks NdArray and LibTorch as superseded; they are what we run on.

use burn::tensor::Device;

use crate::Error;

/// A device of this build: the name to ask for it by, and what it is.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct DeviceInfo {
    /// What `run.device` and `--device` take.
    pub name: String,
    /// One line about it.
    pub description: String,
}

/// The devices that this build can use on this machine, the best one first.
pub fn devices() -> Vec<DeviceInfo> {
    let mut devices = Vec::new();
    if cfg!(feature = "cpu") {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        devices.push(DeviceInfo {
            name: "ndarray".into(),
            description: format!("Burn on ndarray with this project's kernels, {cores} CPU cores"),
        });
    }
    devices
}

/// The device that a name asks for; `auto` is the best one present.
///
/// # Errors
/// If this build or this machine has no such device; the message lists those it has.
pub fn device(name: &str) -> Result<(DeviceInfo, Device), Error> {
    let devices = devices();
    let names: Vec<_> = devices.iter().map(|device| device.name.as_str()).collect();
    let names = names.join(", ");
    let found = devices
        .iter()
        .find(|device| name == "auto" || device.name == name);
    let info = found.cloned().ok_or_else(|| {
        Error::Device(match names.as_str() {
            "" => "this build has no backend: build it with --features cpu".into(),
            _ => format!("device {name} is not in this build or machine (there is: {names})"),
        })
    })?;
    match info.name.as_str() {
        #[cfg(feature = "cpu")]
        "ndarray" => Ok((info, Device::ndarray())),
        other => unreachable!("`devices` lists only what is handled here, not {other}"),
    }
}

#[cfg(all(test, feature = "cpu"))]
mod tests {
    use super::*;

    #[test]
    fn auto_is_the_first_and_unknown_names_are_told_what_there_is() {
        assert_eq!(device("auto").unwrap().0, devices()[0]);
        let error = device("cuda:7").unwrap_err().to_string();
        assert!(
            error.contains("cuda:7") && error.contains("ndarray"),
            "{error}"
        );
    }
}
