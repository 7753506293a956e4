//! Downloads from servers that drop, stall, lie and fail.

use std::fs::File;

use crate::fetch_place::{Place, content};
use crate::file_server::{FileServer, Reply};

#[test]
fn dropped_connections_are_gone_on_from() {
    let replies = [
        Reply::Drop(1000),
        Reply::Drop(0),
        Reply::Drop(70_000),
        Reply::Drop(1),
        Reply::Good,
    ];
    let server = FileServer::start(&content(), &replies);
    let mut place = Place::new();
    let fetched = place.fetch(&server);
    place.assert_whole(fetched);
    let starts = [None, Some(1000), Some(1000), Some(71_000), Some(71_001)];
    assert_eq!(server.requests(), starts);
    assert_eq!(place.lines.len(), 4, "{:?}", place.lines);
}

#[test]
fn what_was_left_is_gone_on_from_by_the_next_call() {
    let broken = FileServer::start(&content(), &[Reply::Drop(5000), Reply::Drop(0)]);
    let mut place = Place::new();
    let fetched = place.fetch(&broken);
    place.assert_failed(fetched, "3 times in a row", 5000);
    assert_eq!(
        broken.requests().len(),
        4,
        "a try with progress, then three without"
    );
    let good = FileServer::start(&content(), &[Reply::Good]);
    let fetched = place.fetch(&good);
    place.assert_whole(fetched);
    assert_eq!(good.requests(), [Some(5000)]);
}

#[test]
fn silence_is_no_answer() {
    for (replies, starts) in [
        ([Reply::Stall(4000), Reply::Good], [None, Some(4000)]),
        ([Reply::Stall(0), Reply::Good], [None, None]),
    ] {
        let server = FileServer::start(&content(), &replies);
        let mut place = Place::new();
        let fetched = place.fetch(&server);
        place.assert_whole(fetched);
        assert_eq!(server.requests(), starts);
        assert!(
            place.lines[0].contains("sent nothing for 0.3 s"),
            "{:?}",
            place.lines
        );
    }
    let silent = FileServer::start(&content(), &[Reply::Stall(4000), Reply::Stall(0)]);
    let mut place = Place::new();
    let fetched = place.fetch(&silent);
    place.assert_failed(fetched, "sent nothing for 0.3 s", 4000);
}

#[test]
fn failing_servers_are_asked_again_and_refusing_ones_are_not() {
    for status in [
        "500 Internal Server Error",
        "503 Service Unavailable",
        "429 Too Many Requests",
    ] {
        let replies = [
            Reply::Status(status),
            Reply::Drop(9),
            Reply::Status(status),
            Reply::Good,
        ];
        let server = FileServer::start(&content(), &replies);
        let mut place = Place::new();
        let fetched = place.fetch(&server);
        place.assert_whole(fetched);
        assert_eq!(server.requests(), [None, None, Some(9), Some(9)]);
    }
    for (reply, asked, why) in [
        (
            Reply::Status("500 Internal Server Error"),
            3,
            "answered 500",
        ),
        (Reply::Noise, 3, "no proper HTTP"),
        (Reply::Status("404 Not Found"), 1, "answered 404"),
        (Reply::Status("403 Forbidden"), 1, "answered 403"),
        (Reply::Status("204 No Content"), 1, "answered 204"),
    ] {
        let server = FileServer::start(&content(), &[reply]);
        let mut place = Place::with_part(&content()[..77]);
        let fetched = place.fetch(&server);
        place.assert_failed(fetched, why, 77);
        assert_eq!(server.requests().len(), asked, "{reply:?}");
        let mut place = Place::new();
        let fetched = place.fetch(&server);
        place.assert_failed(fetched, why, 0);
    }
}

#[test]
fn a_server_without_ranges_is_read_from_the_beginning() {
    let server = FileServer::start(&content(), &[Reply::Drop(4000), Reply::Whole]);
    let mut place = Place::new();
    let fetched = place.fetch(&server);
    place.assert_whole(fetched);
    assert_eq!(server.requests(), [None, Some(4000)]);
    // One that never gets further than before is given up.
    let server = FileServer::start(&content(), &[Reply::DropWhole(4000)]);
    let mut place = Place::new();
    let fetched = place.fetch(&server);
    place.assert_failed(
        fetched,
        "after 4000 of 300000 bytes (3 times in a row)",
        4000,
    );
}

#[test]
fn another_part_than_was_asked_for_is_refused() {
    for bad in [
        Reply::Earlier(10),
        Reply::Unsaid,
        Reply::Status("416 Range Not Satisfiable"),
    ] {
        let server = FileServer::start(&content(), &[bad, Reply::Good]);
        let mut place = Place::with_part(&content()[..50]);
        let fetched = place.fetch(&server);
        place.assert_whole(fetched);
        assert_eq!(server.requests(), [Some(50), None], "{bad:?}");
        assert!(
            place.lines[0].contains("starting over"),
            "{:?}",
            place.lines
        );
    }
    let replies = [Reply::Earlier(10), Reply::Drop(60), Reply::Earlier(10)];
    let server = FileServer::start(&content(), &replies);
    let mut place = Place::with_part(&content()[..50]);
    let fetched = place.fetch(&server);
    place.assert_failed(fetched, "bytes from 50 on where those from 60 on", 0);
    assert_eq!(server.requests(), [Some(50), None, Some(60)]);
}

#[test]
fn other_bytes_and_other_lengths_are_refused() {
    for (reply, asked, why) in [
        (Reply::OtherBytes, 2, "other content"),
        (Reply::Longer, 2, "more than 300000 bytes"),
        (
            Reply::Shorter(1),
            1,
            "a file of 299999 bytes, not of 300000",
        ),
    ] {
        let server = FileServer::start(&content(), &[reply]);
        let mut place = Place::new();
        let fetched = place.fetch(&server);
        place.assert_failed(fetched, why, 0);
        assert_eq!(server.requests().len(), asked, "{reply:?}");
    }
    // What is there already may be good: another address shall go on from it.
    for reply in [Reply::Shorter(1), Reply::OfLonger] {
        let server = FileServer::start(&content(), &[reply]);
        let mut place = Place::with_part(&content()[..50]);
        let fetched = place.fetch(&server);
        place.assert_failed(fetched, "not of 300000", 50);
    }
    let once = FileServer::start(&content(), &[Reply::OtherBytes, Reply::Good]);
    let mut place = Place::new();
    let fetched = place.fetch(&once);
    place.assert_whole(fetched);
}

#[test]
fn a_part_of_something_else_is_thrown_away_once() {
    let mut other = content();
    other[7] ^= 1;
    for (part, starts) in [
        (&other[..100], &[Some(100), None][..]),
        (&other[..], &[None]),
        (&[content(), vec![0]].concat(), &[None]),
    ] {
        let server = FileServer::start(&content(), &[Reply::Good]);
        let mut place = Place::with_part(part);
        let fetched = place.fetch(&server);
        place.assert_whole(fetched);
        assert_eq!(server.requests(), starts);
        assert_eq!(place.lines.len(), 1, "{:?}", place.lines);
    }
    // A whole part needs no server.
    let server = FileServer::start(&content(), &[Reply::Status("404 Not Found")]);
    let mut place = Place::with_part(&content());
    let fetched = place.fetch(&server);
    place.assert_whole(fetched);
    assert_eq!(server.requests(), []);
}

#[test]
fn mirrors_are_asked_in_order_and_go_on_from_each_other() {
    let missing = FileServer::start(&content(), &[Reply::Status("404 Not Found")]);
    let broken = FileServer::start(&content(), &[Reply::Drop(800), Reply::Drop(0)]);
    let official = FileServer::start(&content(), &[Reply::Good]);
    let mut place = Place::new();
    let fetched = place.fetch_with_mirrors(&official, &[&missing, &broken]);
    place.assert_whole(fetched);
    assert_eq!(missing.requests(), [None]);
    assert_eq!(broken.requests(), [None, Some(800), Some(800), Some(800)]);
    assert_eq!(official.requests(), [Some(800)]);
    // One with other content costs what it sent, and no more.
    let wrong = FileServer::start(&content(), &[Reply::OtherBytes]);
    let mut place = Place::new();
    let fetched = place.fetch_with_mirrors(&official, &[&wrong]);
    place.assert_whole(fetched);
    // Where all fail, the message tells what came of each.
    let mut place = Place::new();
    let fetched = place.fetch_with_mirrors(&missing, &[&wrong]);
    place.assert_failed(fetched.clone(), "answered 404", 0);
    place.assert_failed(fetched, "other content", 0);
}

#[test]
fn a_file_that_is_there_is_checked_and_not_touched() {
    let server = FileServer::start(&content(), &[Reply::Good]);
    let mut place = Place::new();
    std::fs::write(place.path("file.bin"), content()).unwrap();
    let fetched = place.fetch(&server);
    place.assert_whole(fetched);
    std::fs::write(place.path("file.bin"), "mine").unwrap();
    let message = place.fetch(&server).unwrap_err();
    assert!(
        message.contains("other content") && message.contains("move it away"),
        "{message}"
    );
    assert_eq!(std::fs::read(place.path("file.bin")).unwrap(), b"mine");
    assert_eq!(server.requests(), []);
}

#[test]
fn two_downloads_of_one_file_do_not_mix() {
    let server = FileServer::start(&content(), &[Reply::Good]);
    let mut place = Place::with_part(&content()[..10]);
    let other = File::open(place.path("file.bin.part")).unwrap();
    other.lock().unwrap();
    let message = place.fetch(&server).unwrap_err();
    assert!(message.contains("another download"), "{message}");
    assert_eq!(server.requests(), []);
    drop(other);
    let fetched = place.fetch(&server);
    place.assert_whole(fetched);
}
