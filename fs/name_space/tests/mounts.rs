//! The mount table, as a client and as an image's configuration see it.

use kiln_interface::name_space::{MountEntry, NameSpace};
use kiln_name_space::{ArrangementError, MountTable, NameSpaceServer, arrange};
use kiln_object::configuration::{Configuration, write_record};
use kiln_object::{Error, ObjectName, ProcessId, RawReference};
use proptest::prelude::*;
use zerocopy::FromBytes;

const fn bootstrap(index: u32) -> RawReference {
    RawReference {
        process: ProcessId::new(index, 1),
        object: ObjectName::bootstrap(0),
    }
}

fn unpack(mut answer: &[u8]) -> Vec<(String, RawReference, u32)> {
    let mut mounts = Vec::new();
    while !answer.is_empty() {
        let (head, rest) = MountEntry::read_from_prefix(answer).unwrap();
        let path = String::from_utf8(rest[..head.path_bytes as usize].to_vec()).unwrap();
        let bytes = (size_of::<MountEntry>() + path.len()).next_multiple_of(8);
        answer = &answer[bytes..];
        mounts.push((path, head.server, head.flags));
    }
    mounts
}

fn paths(table: &MountTable) -> Vec<&str> {
    table
        .mounts()
        .iter()
        .map(|mount| std::str::from_utf8(&mount.path).unwrap())
        .collect()
}

fn configured(records: &[(&str, &[u8])]) -> Result<MountTable, ArrangementError> {
    let mut bytes = Vec::new();
    for (key, value) in records {
        write_record(|part| bytes.extend_from_slice(part), key, value);
    }
    arrange(&Configuration::new(&bytes), |name| match name {
        "image_root" => Some(bootstrap(2)),
        "memory_fs" => Some(bootstrap(3)),
        _ => None,
    })
}

#[test]
fn longer_paths_come_first_and_later_mounts_over_earlier_ones() {
    let mut table = MountTable::new();
    for (index, path) in ["/", "/tmp", "//usr/./share/", "/tmp", "/a"]
        .into_iter()
        .enumerate()
    {
        table
            .mount(path.as_bytes(), bootstrap(index as u32 + 1), 0)
            .unwrap();
    }
    assert_eq!(paths(&table), ["/usr/share", "/tmp", "/tmp", "/a", "/"]);
    assert_eq!(table.mounts()[1].server, bootstrap(4));
    assert_eq!(table.version(), 5);
    table.unmount(b"/tmp/").unwrap();
    assert_eq!(table.mounts()[1].server, bootstrap(2));
    assert_eq!(table.version(), 6);
}

#[test]
fn the_root_stays() {
    let mut table = MountTable::new();
    table.mount(b"/", bootstrap(1), 0).unwrap();
    table.mount(b"/", bootstrap(2), 1).unwrap();
    assert_eq!(table.unmount(b"/"), Ok(()));
    assert_eq!(table.mounts()[0].server, bootstrap(1));
    assert_eq!(table.unmount(b"/"), Err(Error::Busy));
    assert_eq!(table.unmount(b"/tmp"), Err(Error::NotFound));
}

#[test]
fn what_cannot_be_mounted_is_refused() {
    let mut table = MountTable::new();
    for path in [b"".as_slice(), b"tmp", b"/a/../b", b"/a\0b"] {
        assert_eq!(
            table.mount(path, bootstrap(1), 0),
            Err(Error::BadArgument),
            "{path:?}"
        );
    }
    let long = format!("/{}", "n".repeat(256));
    assert_eq!(
        table.mount(long.as_bytes(), bootstrap(1), 0),
        Err(Error::NameTooLong)
    );
    assert_eq!(
        table.mount(b"/a", RawReference::NONE, 0),
        Err(Error::BadArgument)
    );
    assert_eq!(table.mount(b"/a", bootstrap(1), 2), Err(Error::BadArgument));
    assert_eq!(table.version(), 0);
}

#[test]
fn a_full_table_still_fits_an_answer() {
    let mut table = MountTable::new();
    let mut made = 0;
    while table
        .mount(format!("/mount-{made}").as_bytes(), bootstrap(1), 0)
        .is_ok()
    {
        made += 1;
    }
    assert!(made > 100);
    assert_eq!(
        table.mount(b"/x/y/z/and/more", bootstrap(1), 0),
        Err(Error::Exhausted)
    );
    let mut answer = [0xff; 4096];
    let length = table.pack(&mut answer).unwrap();
    assert_eq!(unpack(&answer[..length]).len(), made);
    assert_eq!(table.pack(&mut answer[..length - 1]), Err(Error::TooLarge));
}

#[test]
fn the_server_answers_the_table_with_its_version() {
    let mut table = MountTable::new();
    table.mount(b"/", bootstrap(2), 0).unwrap();
    let server = NameSpaceServer::new(table);
    server.mount(b"/tmp", bootstrap(3), 1).unwrap();
    let mut answer = [0xff; 4096];
    let (length, version) = server.mounts(&mut answer).unwrap();
    assert_eq!(version, server.version().unwrap());
    let expected = [
        ("/tmp".into(), bootstrap(3), 1),
        ("/".into(), bootstrap(2), 0),
    ];
    assert_eq!(unpack(&answer[..length as usize]), expected);
    server.unmount(b"/tmp").unwrap();
    assert!(server.version().unwrap() > version);
}

#[test]
fn an_image_starts_with_its_root_or_what_lies_over_it() {
    let plain = configured(&[]).unwrap();
    assert_eq!(
        (paths(&plain), plain.mounts()[0].server),
        (vec!["/"], bootstrap(2))
    );
    let writable = configured(&[("root.writable", b"1")]).unwrap();
    assert_eq!(writable.mounts()[0].server, bootstrap(3));
}

#[test]
fn an_image_can_say_its_mounts() {
    let records: [(&str, &[u8]); 2] = [
        ("mount", b"/tmp\0memory_fs\x000"),
        ("mount", b"/ro\0image_root\x001"),
    ];
    let table = configured(&records).unwrap();
    assert_eq!(paths(&table), ["/tmp", "/ro", "/"]);
    assert_eq!(table.mounts()[1].flags, 1);
    let own_root = configured(&[("mount", b"/\0memory_fs")]).unwrap();
    assert_eq!(
        (own_root.mounts().len(), own_root.mounts()[0].server),
        (1, bootstrap(3))
    );
}

#[test]
fn a_wrong_configuration_says_what_is_wrong() {
    let error = |value: &[u8]| configured(&[("mount", value)]).unwrap_err();
    assert_eq!(
        error(b"/tmp\0nfs\x000"),
        ArrangementError::NoServer("nfs".into())
    );
    assert_eq!(error(b"/tmp"), ArrangementError::Malformed("/tmp".into()));
    assert!(matches!(
        error(b"/tmp\0memory_fs\0x"),
        ArrangementError::Malformed(_)
    ));
    assert!(matches!(
        error(b"/tmp\0memory_fs\x000\0"),
        ArrangementError::Malformed(_)
    ));
    let relative = error(b"tmp\0memory_fs\x000");
    assert_eq!(
        relative.to_string(),
        "the mount `tmp memory_fs 0` cannot be made: BadArgument"
    );
}

proptest! {
    /// Whatever is asked, the table stays sorted and its answer readable.
    #[test]
    fn any_sequence_keeps_the_order(
        steps in proptest::collection::vec((any::<bool>(), "/?[ab./]{0,9}", any::<u32>()), 0..60),
    ) {
        let server = NameSpaceServer::new(MountTable::new());
        for (mount, path, number) in steps {
            let before = server.version().unwrap();
            let outcome = if mount {
                server.mount(path.as_bytes(), bootstrap(number), number & 1)
            } else {
                server.unmount(path.as_bytes())
            };
            prop_assert_eq!(server.version().unwrap(), before + u64::from(outcome.is_ok()));
        }
        let mut answer = [0xff; 4096];
        let (length, _) = server.mounts(&mut answer).unwrap();
        let mounts = unpack(&answer[..length as usize]);
        prop_assert!(mounts.iter().is_sorted_by(|one, two| one.0.len() >= two.0.len()));
        for (path, ..) in mounts {
            let canonical = path == "/" || path.starts_with('/') && !path.ends_with('/');
            prop_assert!(canonical && !path.contains("//"), "{}", path);
        }
    }
}
