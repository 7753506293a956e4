use serde_json::json;
use trainer::{Error, print_result};

use super::args::Devices;
use super::print_object;

pub(super) fn run(args: &Devices) -> Result<(), Error> {
    let (devices, absent) = (trainer::devices(), trainer::absent_devices());
    if args.json {
        let all = json!({ "devices": devices, "absent": absent });
        return print_object(&all, true);
    }
    let mut lines = String::new();
    for device in devices {
        lines += &format!("{:10} {}\n", device.name, device.description);
    }
    for device in absent {
        lines += &format!("{:10} not present: {}\n", device.name, device.description);
    }
    print_result(&lines)
}
