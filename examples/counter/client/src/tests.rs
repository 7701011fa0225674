use kiln_example_counter_interface::{CounterCall, CounterRecorder};
use kiln_object::ProcessId;

use super::*;

const MYSELF: Caller = Caller(ProcessId::new(7, 1));

#[test]
fn it_counts_twice_and_tells_what_it_heard() {
    let counter = CounterRecorder::default();
    counter.answer_add(Ok(1)).answer_add(Ok(9));
    counter.answer_describe(Ok(3), b"abc");
    counter.answer_reset(Err(Error::Denied));
    let text = count(&counter, MYSELF).unwrap();
    assert_eq!(text, "9; abc; reset: Err(Denied)\n");
    let greeting = b"Hello".to_vec();
    let caller = MYSELF;
    assert_eq!(
        counter.calls(),
        [
            CounterCall::Add { amount: 40 },
            CounterCall::Add { amount: 2 },
            CounterCall::Describe { caller, greeting },
            CounterCall::Reset,
        ]
    );
}

#[test]
fn it_says_why_when_the_counter_is_gone() {
    let counter = CounterRecorder::default();
    counter.answer_add(Err(Error::ServerDied));
    assert_eq!(count(&counter, MYSELF), Err(Error::ServerDied));
}
