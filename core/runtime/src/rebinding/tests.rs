//! Calls of which servers die, in every order that matters.
//!
//! The carrier is made up: it has a process per incarnation, notes which call began where, and ends a
//! server in the middle of a call or before it.

use super::*;

const HASH: u64 = 7;
const BOOTSTRAP: ObjectName = ObjectName::bootstrap(0);
const WORDS: [u64; CALL_WORDS] = [0; CALL_WORDS];

/// May be tried again.
const LOOK: u16 = 1;
/// May not.
const PAY: u16 = 2;
const PAY_TOO: u16 = 3;

/// Processes of one place, of which the last lives; each test has a place of its own.
struct Machine {
    place: u32,
    state: SpinMutex<State>,
}

#[derive(Default)]
struct State {
    incarnation: u32,
    /// What ends the server in the middle of calls that are still to come, the first last.
    deaths: Vec<Error>,
    /// Incarnation and method of each call that began.
    begun: Vec<(u32, u16)>,
}

impl Machine {
    fn new(place: u32) -> (Self, RawReference) {
        let state = State {
            incarnation: 1,
            ..State::default()
        };
        let machine = Self {
            place,
            state: SpinMutex::new(state),
        };
        let reference = machine.object(1);
        note(reference, BOOTSTRAP, HASH, &[LOOK]);
        (machine, reference)
    }

    fn object(&self, incarnation: u32) -> RawReference {
        RawReference {
            process: ProcessId::new(self.place, incarnation),
            object: ObjectName::from_raw(0x5_0000_0001),
        }
    }

    /// The server ends while nobody calls it.
    fn kill(&self) {
        self.state.lock().incarnation += 1;
    }

    /// Ends the server in the middle of the next calls, so.
    fn dies_of(&self, deaths: &[Error]) {
        self.state.lock().deaths = deaths.iter().rev().copied().collect();
    }

    fn begun(&self) -> Vec<(u32, u16)> {
        core::mem::take(&mut self.state.lock().begun)
    }

    /// As a client calls.
    fn call(&self, reference: RawReference, method: u16) -> Result<Reply, Error> {
        match self.attempt(reference, method, WORDS, &[], &mut []) {
            Ok(reply) => Ok(reply),
            Err(failure) => self.failed(failure, reference, method),
        }
    }

    /// What a client does whose call has failed.
    fn failed(
        &self,
        failure: Failure,
        reference: RawReference,
        method: u16,
    ) -> Result<Reply, Error> {
        died_by(self, failure, reference, method, &WORDS, &[], &mut [])
    }
}

impl Carrier for Machine {
    fn attempt(
        &self,
        reference: RawReference,
        method: u16,
        _words: [u64; CALL_WORDS],
        _input: &[u8],
        _output: &mut [u8],
    ) -> Result<Reply, Failure> {
        let mut state = self.state.lock();
        let called = reference.process.incarnation();
        if called != state.incarnation {
            return Err(Failure::not_begun());
        }
        state.begun.push((called, method));
        if let Some(death) = state.deaths.pop() {
            state.incarnation += 1;
            return Err(death.into());
        }
        Ok(Reply {
            words: [u64::from(called), 0, 0, 0],
            output: 0,
        })
    }

    fn successor(&self, process: ProcessId) -> Option<ProcessId> {
        assert_eq!(process.index(), self.place);
        Some(ProcessId::new(self.place, self.state.lock().incarnation))
    }

    fn bind(&self, bootstrap: RawReference, hash: u64) -> Result<RawReference, Error> {
        assert_eq!((bootstrap.object, hash), (BOOTSTRAP, HASH));
        Ok(self.object(bootstrap.process.incarnation()))
    }
}

fn answer(result: Result<Reply, Error>) -> Result<u64, Error> {
    result.map(|reply| reply.words[0])
}

/// Two calls are in the server when it dies; the first who is told binds again, and then the second is told.
fn two_inside(place: u32, first: Error, second: Error, method: u16) -> (Result<u64, Error>, usize) {
    let (machine, reference) = Machine::new(place);
    machine.dies_of(&[first]);
    let told = machine.attempt(reference, method, WORDS, &[], &mut []);
    machine.state.lock().begun.push((1, method));
    let told = told.expect_err("the server died");
    let _ = machine.failed(told, reference, PAY);
    let answer = answer(machine.failed(second.into(), reference, method));
    let begun = machine.begun().len();
    // Whatever became of it, the next call goes to the new server.
    assert_eq!(
        machine.call(reference, PAY).map(|reply| reply.words[0]),
        Ok(2)
    );
    (answer, begun - 2)
}

#[test]
fn what_had_begun_is_made_again_only_if_it_may_be_though_another_has_bound_again() {
    let died = Error::ServerDied;
    assert_eq!(two_inside(101, died, died, LOOK), (Ok(2), 1));
    assert_eq!(two_inside(102, died, died, PAY), (Err(died), 0));
}

#[test]
fn what_took_too_long_is_never_made_again() {
    let (late, died) = (Error::TimedOut, Error::ServerDied);
    assert_eq!(two_inside(103, died, late, LOOK), (Err(late), 0));
    assert_eq!(two_inside(104, late, late, PAY), (Err(late), 0));
    let (machine, reference) = Machine::new(105);
    machine.dies_of(&[late]);
    assert_eq!(answer(machine.call(reference, LOOK)), Err(late));
    assert_eq!(machine.begun(), [(1, LOOK)]);
    assert_eq!(answer(machine.call(reference, LOOK)), Ok(2));
    // The server that was started in its place may be ended, too: that call is not made a third time.
    machine.kill();
    machine.dies_of(&[late]);
    machine.begun();
    assert_eq!(answer(machine.call(reference, LOOK)), Err(late));
    assert_eq!(machine.begun(), [(3, LOOK)]);
}

#[test]
fn what_came_too_late_to_begin_goes_to_the_new_server_once_somebody_was_told() {
    let (machine, reference) = Machine::new(106);
    machine.kill();
    assert_eq!(answer(machine.call(reference, PAY)), Err(Error::ServerDied));
    assert_eq!(machine.begun(), []);
    assert_eq!(answer(machine.call(reference, PAY)), Ok(2));
    machine.kill();
    machine.kill();
    assert_eq!(answer(machine.call(reference, LOOK)), Ok(4));
    assert_eq!(answer(machine.call(reference, PAY)), Ok(4));
    assert_eq!(machine.begun(), [(2, PAY), (4, LOOK), (4, PAY)]);
}

#[test]
fn the_new_server_may_die_of_the_same_call() {
    let died = Error::ServerDied;
    let (machine, reference) = Machine::new(107);
    machine.kill();
    assert_eq!(answer(machine.call(reference, PAY)), Err(died));
    // It goes to the second server, which dies of it: it is not made again.
    machine.dies_of(&[died]);
    assert_eq!(answer(machine.call(reference, PAY)), Err(died));
    assert_eq!(machine.begun(), [(2, PAY)]);
    // One that may be made again takes so many servers with it and no more.
    machine.dies_of(&[died; 9]);
    assert_eq!(answer(machine.call(reference, LOOK)), Err(died));
    assert_eq!(machine.begun().len(), ATTEMPTS);
}

#[test]
fn two_threads_pay_once_each() {
    for _ in 0..200 {
        let (machine, reference) = Machine::new(108);
        machine.dies_of(&[Error::ServerDied]);
        let start = std::sync::Barrier::new(2);
        let answers = std::thread::scope(|scope| {
            let call = |method: u16| {
                start.wait();
                answer(machine.call(reference, method))
            };
            let other = scope.spawn(move || call(PAY_TOO));
            [call(PAY), other.join().expect("the thread does not fail")]
        });
        for told in answers {
            assert!([Err(Error::ServerDied), Ok(2)].contains(&told), "{told:?}");
        }
        let begun = machine.begun();
        for method in [PAY, PAY_TOO] {
            let count = begun.iter().filter(|call| call.1 == method).count();
            assert!(count <= 1, "{begun:?}");
        }
        assert_eq!(answer(machine.call(reference, PAY)), Ok(2));
    }
}
