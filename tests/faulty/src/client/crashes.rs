//! Each way to crash: that server dies, its callers are told, nobody else notices.

use kiln_object::Error;

use super::report::{expect, good};
use super::{error, process_of, server};
use crate::failures::{CRASHES, Failure};
use crate::interface::Faulty as _;

/// Every kind of crash, in a call to the server and in a call to an object of it.
pub fn each_kind() {
    let other = server("faulty_second");
    let counted = good(other.count());
    for (number, failure) in (0..).zip(CRASHES) {
        let before = process_of("faulty_server");
        expect(
            error(server("faulty_server").fail(failure as u32)),
            Error::ServerDied,
        );
        let now = process_of("faulty_server");
        expect(now.index(), before.index());
        expect(now.incarnation(), before.incarnation() + 1);
        // It starts anew, and the other has not noticed anything.
        expect(server("faulty_server").count(), Ok(1));
        expect(other.count(), Ok(counted + 1 + number));
    }
}

/// A call that leads through another server: that one is told, answers, and lives.
pub fn through_another() {
    let first = server("faulty_server");
    for failure in [Failure::WildRead, Failure::Panic] {
        let before = (process_of("faulty_server"), process_of("faulty_second"));
        let told = first.fail_next(failure as u32);
        expect(told, Ok(u64::from(Error::ServerDied.code())));
        expect(process_of("faulty_server"), before.0);
        expect(
            process_of("faulty_second").incarnation(),
            before.1.incarnation() + 1,
        );
        expect(server("faulty_second").count(), Ok(1));
    }
}

/// A server that computes for ever in a call.
pub fn without_an_answer() {
    for failure in [Failure::Loop, Failure::Loop, Failure::WaitWithNews] {
        let server = server("faulty_server");
        let before = process_of("faulty_server");
        let answer = server.fail(failure as u32);
        expect(error(answer), Error::TimedOut);
        let now = process_of("faulty_server");
        expect(now.incarnation(), before.incarnation() + 1);
        expect(server.count(), Ok(1));
    }
}

/// Of two servers that are in the call the one that has it now is ended.
pub fn without_an_answer_inside() {
    let before = (process_of("faulty_server"), process_of("faulty_second"));
    let told = server("faulty_server").fail_next(Failure::Loop as u32);
    expect(told, Ok(u64::from(Error::TimedOut.code())));
    expect(process_of("faulty_server"), before.0);
    let now = process_of("faulty_second");
    expect(now.incarnation(), before.1.incarnation() + 1);
    expect(server("faulty_second").count(), Ok(1));
}
