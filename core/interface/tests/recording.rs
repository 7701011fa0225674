//! The test double, the counts and the description that come with each interface.

use kiln_interface::file::{File, FileCall, FileDispatch, FileRecorder, FileStub, FileTree};
use kiln_interface::file::{FileTreeCall, FileTreeRecorder, Opened};
use kiln_object::count::MethodCount;
use kiln_object::describe::Travel;
use kiln_object::recorder::Otherwise;
use kiln_object::{
    Caller, Dispatch, Error, Interface, Loopback, ProcessId, RawReference, Reference, Rights,
};
use zerocopy::FromBytes;

#[test]
fn a_double_notes_calls_and_answers_what_it_was_told() {
    let tree = FileTreeRecorder::default();
    let opened = Opened {
        file: Reference::new(RawReference::NONE),
        mode: 7,
        length: 3,
    };
    tree.answer_open(Ok(opened), b"")
        .answer_open(Err(Error::Elsewhere), b"/target\0")
        .answer_link(Err(Error::Exists), b"");
    let mut answer = [0xee; 10];
    assert_eq!(
        tree.open(b"a", 1, 2, ProcessId::KERNEL, &mut answer),
        Ok(opened)
    );
    assert_eq!(
        tree.open(b"b", 1, 2, ProcessId::KERNEL, &mut answer),
        Err(Error::Elsewhere)
    );
    assert_eq!(&answer, b"/target\0\xee\xee");
    assert_eq!(tree.link(b"x", b"y", &mut []), Err(Error::Exists));
    let open = |path: &[u8]| FileTreeCall::Open {
        path: path.to_vec(),
        flags: 1,
        mode: 2,
        owner: ProcessId::KERNEL,
    };
    let link = FileTreeCall::Link {
        from: b"x".to_vec(),
        to: b"y".to_vec(),
    };
    assert_eq!(tree.calls(), [open(b"a"), open(b"b"), link]);
    assert!(tree.calls().is_empty());
}

#[test]
#[should_panic = "the test does not say what `File::synchronise` answers"]
fn a_double_that_was_told_nothing_says_so() {
    let _ = FileRecorder::default().synchronise();
}

#[test]
fn a_double_serves_far_callers_and_what_they_do_is_counted() {
    let file = FileRecorder::default();
    file.otherwise(Otherwise::Fail(Error::Device));
    file.answer_read(Ok(3), b"abc");
    let served = FileDispatch(file);
    let rights = Rights::READ | Rights::LOOKUP;
    let stub = FileStub::new(
        Reference::new(RawReference::NONE),
        Loopback {
            dispatch: &served,
            caller: Caller(ProcessId::new(3, 1)),
            rights,
        },
    );
    let mut bytes = [0; 8];
    assert_eq!(stub.read(5, &mut bytes), Ok(3));
    assert_eq!(&bytes[..4], b"abc\0");
    assert_eq!(stub.read(5, &mut bytes), Err(Error::Device));
    assert_eq!(stub.write(0, b"no"), Err(Error::Denied));
    assert_eq!(stub.synchronise(), Err(Error::Device));
    let calls = served.0.calls();
    assert_eq!(calls.len(), 3, "what is refused does not arrive: {calls:?}");
    assert_eq!(calls[0], FileCall::Read { offset: 5 });

    let mut room = [0; 200];
    let written = served.counts(&mut room);
    let counts = <[MethodCount]>::ref_from_bytes(&room[..written]).expect("whole counts");
    let numbers: Vec<_> = counts.iter().map(|count| count.method).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7]);
    let of = |method: usize| (counts[method - 1].calls, counts[method - 1].errors);
    // Other tests of this process may not use this interface's dispatch.
    assert_eq!(
        [of(1), of(2), of(3), of(7)],
        [(2, 1), (1, 1), (0, 0), (1, 1)]
    );
    assert_eq!(served.counts(&mut room[..50]), 48, "what fits, whole");
}

#[test]
fn an_interface_describes_itself() {
    let tree = <dyn FileTree as Interface>::DESCRIPTION;
    assert_eq!(tree.name, "kiln.file_tree");
    assert_eq!(tree.hash, <dyn FileTree as Interface>::HASH);
    assert!(tree.documentation.starts_with("A tree of files.\n\n"));
    let open = &tree.methods[0];
    assert_eq!((open.number, open.name, open.result), (1, "open", "Opened"));
    assert_eq!(open.right, Rights::LOOKUP);
    assert_eq!(open.delegate, Some("owner"));
    assert!(open.idempotent && !open.one_way);
    let arguments: Vec<_> = open
        .arguments
        .iter()
        .map(|argument| (argument.name, argument.kind, argument.travel))
        .collect();
    assert_eq!(arguments[0], ("path", "&[u8]", Travel::In));
    assert_eq!(arguments[3], ("owner", "ProcessId", Travel::Words));
    assert_eq!(arguments[4], ("elsewhere", "&mut [u8]", Travel::Out));
}
