/// What most methods are: words in, words out.
pub trait Numbers {
    /// Adds.
    fn add(&self, amount: u64) -> Result<u64, Error>;
    /// Who asks?
    fn who(&self, caller: Caller) -> Result<ProcessId, Error>;
    /// For somebody else, perhaps.
    fn open(&self, owner: ProcessId) -> Result<Reference<dyn Numbers>, Error>;
    /// Nobody waits.
    fn note(&self, number: u32) -> Result<(), Error>;
}
impl ::kiln_object::Interface for dyn Numbers {
    const NAME: &'static str = "test.numbers";
    const TEXT: u64 = ::kiln_object::fingerprint::text(
        "test.numbers\n1 add WRITE u64 -> u64\n2 who READ idempotent Caller -> ProcessId\n3 open READ ProcessId -> Reference<dyn Numbers>\n4 note WRITE oneway u32 -> ()",
    );
    const HASH: u64 = ::kiln_object::fingerprint::combine(
        Self::TEXT,
        &[
            <u64 as ::kiln_object::Wire>::LAYOUT,
            <u64 as ::kiln_object::Wire>::LAYOUT,
            <ProcessId as ::kiln_object::Wire>::LAYOUT,
            <ProcessId as ::kiln_object::Wire>::LAYOUT,
            <Reference<dyn Numbers> as ::kiln_object::Wire>::LAYOUT,
            <u32 as ::kiln_object::Wire>::LAYOUT,
            <() as ::kiln_object::Wire>::LAYOUT,
        ],
    );
    const IDEMPOTENT: &'static [u16] = &[2u16];
    const DESCRIPTION: &'static ::kiln_object::describe::Description = &::kiln_object::describe::Description {
        name: "test.numbers",
        documentation: "What most methods are: words in, words out.",
        hash: Self::HASH,
        methods: &[
            ::kiln_object::describe::MethodDescription {
                number: 1u16,
                name: "add",
                documentation: "Adds.",
                right: ::kiln_object::Rights::WRITE,
                delegate: None,
                idempotent: false,
                one_way: false,
                arguments: &[
                    ::kiln_object::describe::ArgumentDescription {
                        name: "amount",
                        kind: "u64",
                        travel: ::kiln_object::describe::Travel::Words,
                        bound: None,
                    },
                ],
                result: "u64",
            },
            ::kiln_object::describe::MethodDescription {
                number: 2u16,
                name: "who",
                documentation: "Who asks?",
                right: ::kiln_object::Rights::READ,
                delegate: None,
                idempotent: true,
                one_way: false,
                arguments: &[
                    ::kiln_object::describe::ArgumentDescription {
                        name: "caller",
                        kind: "Caller",
                        travel: ::kiln_object::describe::Travel::Caller,
                        bound: None,
                    },
                ],
                result: "ProcessId",
            },
            ::kiln_object::describe::MethodDescription {
                number: 3u16,
                name: "open",
                documentation: "For somebody else, perhaps.",
                right: ::kiln_object::Rights::READ,
                delegate: Some("owner"),
                idempotent: false,
                one_way: false,
                arguments: &[
                    ::kiln_object::describe::ArgumentDescription {
                        name: "owner",
                        kind: "ProcessId",
                        travel: ::kiln_object::describe::Travel::Words,
                        bound: None,
                    },
                ],
                result: "Reference<dyn Numbers>",
            },
            ::kiln_object::describe::MethodDescription {
                number: 4u16,
                name: "note",
                documentation: "Nobody waits.",
                right: ::kiln_object::Rights::WRITE,
                delegate: None,
                idempotent: false,
                one_way: true,
                arguments: &[
                    ::kiln_object::describe::ArgumentDescription {
                        name: "number",
                        kind: "u32",
                        travel: ::kiln_object::describe::Travel::Words,
                        bound: None,
                    },
                ],
                result: "()",
            },
        ],
    };
}
const _: () = {
    const KILN_LENGTHS: usize = 0usize;
    assert!(
        ::kiln_object::marshal::at_most(0usize + < u64 as ::kiln_object::Wire > ::WORDS +
        KILN_LENGTHS, ::kiln_object::call::CALL_WORDS),
        "`add`: the arguments take more words than a call carries; group them or send bytes"
    );
    assert!(
        ::kiln_object::marshal::at_most(< u64 as ::kiln_object::Wire > ::WORDS,
        ::kiln_object::call::RETURN_WORDS),
        "`add`: the result takes more words than a return carries"
    );
    assert!(
        ::kiln_object::marshal::at_most({ const KILN_ROOM : usize =
        ::kiln_object::marshal::room(& []); KILN_ROOM },
        ::kiln_object::call::MESSAGE_BYTES),
        "`add`: what its bounds allow is longer than the message that a call carries"
    );
};
const _: () = {
    const KILN_LENGTHS: usize = 0usize;
    assert!(
        ::kiln_object::marshal::at_most(0usize + KILN_LENGTHS,
        ::kiln_object::call::CALL_WORDS),
        "`who`: the arguments take more words than a call carries; group them or send bytes"
    );
    assert!(
        ::kiln_object::marshal::at_most(< ProcessId as ::kiln_object::Wire > ::WORDS,
        ::kiln_object::call::RETURN_WORDS),
        "`who`: the result takes more words than a return carries"
    );
    assert!(
        ::kiln_object::marshal::at_most({ const KILN_ROOM : usize =
        ::kiln_object::marshal::room(& []); KILN_ROOM },
        ::kiln_object::call::MESSAGE_BYTES),
        "`who`: what its bounds allow is longer than the message that a call carries"
    );
};
const _: () = {
    const KILN_LENGTHS: usize = 0usize;
    assert!(
        ::kiln_object::marshal::at_most(0usize + < ProcessId as ::kiln_object::Wire >
        ::WORDS + KILN_LENGTHS, ::kiln_object::call::CALL_WORDS),
        "`open`: the arguments take more words than a call carries; group them or send bytes"
    );
    assert!(
        ::kiln_object::marshal::at_most(< Reference < dyn Numbers > as
        ::kiln_object::Wire > ::WORDS, ::kiln_object::call::RETURN_WORDS),
        "`open`: the result takes more words than a return carries"
    );
    assert!(
        ::kiln_object::marshal::at_most({ const KILN_ROOM : usize =
        ::kiln_object::marshal::room(& []); KILN_ROOM },
        ::kiln_object::call::MESSAGE_BYTES),
        "`open`: what its bounds allow is longer than the message that a call carries"
    );
};
const _: () = {
    const KILN_LENGTHS: usize = 0usize;
    assert!(
        ::kiln_object::marshal::at_most(0usize + < u32 as ::kiln_object::Wire > ::WORDS +
        KILN_LENGTHS, ::kiln_object::call::CALL_WORDS),
        "`note`: the arguments take more words than a call carries; group them or send bytes"
    );
    assert!(
        ::kiln_object::marshal::at_most(< () as ::kiln_object::Wire > ::WORDS,
        ::kiln_object::call::RETURN_WORDS),
        "`note`: the result takes more words than a return carries"
    );
    assert!(
        ::kiln_object::marshal::at_most({ const KILN_ROOM : usize =
        ::kiln_object::marshal::room(& []); KILN_ROOM },
        ::kiln_object::call::MESSAGE_BYTES),
        "`note`: what its bounds allow is longer than the message that a call carries"
    );
};
///Calls the [`Numbers`] that a reference names.
#[derive(Clone, Copy, Debug)]
pub struct NumbersStub<T: ::kiln_object::Transport> {
    reference: ::kiln_object::Reference<dyn Numbers>,
    transport: T,
}
impl<T: ::kiln_object::Transport> NumbersStub<T> {
    /// A stub for what `reference` names, reached by `transport`.
    #[inline(always)]
    #[must_use]
    pub const fn new(
        reference: ::kiln_object::Reference<dyn Numbers>,
        transport: T,
    ) -> Self {
        Self { reference, transport }
    }
    /// What is called.
    #[inline(always)]
    #[must_use]
    pub const fn reference(&self) -> ::kiln_object::Reference<dyn Numbers> {
        self.reference
    }
}
impl<T: ::kiln_object::Transport> Numbers for NumbersStub<T> {
    #[inline]
    fn add(&self, amount: u64) -> Result<u64, Error> {
        let mut words = [0u64; ::kiln_object::call::CALL_WORDS];
        ::kiln_object::Wire::encode(&amount, &mut words[0usize..]);
        let reply = ::kiln_object::Transport::call_words(
            &self.transport,
            self.reference.raw(),
            1u16,
            words,
        )?;
        let answer = <u64 as ::kiln_object::Wire>::decode(&reply)
            .map_err(|_| ::kiln_object::Error::BadAnswer)?;
        Ok(answer)
    }
    #[inline]
    fn who(&self, caller: Caller) -> Result<ProcessId, Error> {
        let _ = caller;
        let words = [0u64; ::kiln_object::call::CALL_WORDS];
        let reply = ::kiln_object::Transport::call_words(
            &self.transport,
            self.reference.raw(),
            2u16,
            words,
        )?;
        let answer = <ProcessId as ::kiln_object::Wire>::decode(&reply)
            .map_err(|_| ::kiln_object::Error::BadAnswer)?;
        Ok(answer)
    }
    #[inline]
    fn open(&self, owner: ProcessId) -> Result<Reference<dyn Numbers>, Error> {
        let mut words = [0u64; ::kiln_object::call::CALL_WORDS];
        ::kiln_object::Wire::encode(&owner, &mut words[0usize..]);
        let reply = ::kiln_object::Transport::call_words(
            &self.transport,
            self.reference.raw(),
            3u16,
            words,
        )?;
        let answer = <Reference<dyn Numbers> as ::kiln_object::Wire>::decode(&reply)
            .map_err(|_| ::kiln_object::Error::BadAnswer)?;
        Ok(answer)
    }
    #[inline]
    fn note(&self, number: u32) -> Result<(), Error> {
        let mut words = [0u64; ::kiln_object::call::CALL_WORDS];
        ::kiln_object::Wire::encode(&number, &mut words[0usize..]);
        ::kiln_object::Transport::send(
            &self.transport,
            self.reference.raw(),
            4u16,
            words,
        )
    }
}
///Answers calls to the [`Numbers`] that it wraps.
#[derive(Clone, Copy, Debug)]
pub struct NumbersDispatch<S>(pub S);
const _: () = {
    static COUNTS: ::kiln_object::count::Counts<4usize> = ::kiln_object::count::Counts::new();
    #[inline(never)]
    fn answer_add<S: Numbers>(
        object: &S,
        call: &mut ::kiln_object::Incoming<'_>,
    ) -> ::kiln_object::Answer {
        COUNTS
            .answer(
                call,
                0usize,
                |call| {
                    if !call.rights.contains(::kiln_object::Rights::WRITE) {
                        return Err(::kiln_object::Error::Denied.into());
                    }
                    let argument_amount = <u64 as ::kiln_object::Wire>::decode(
                        &call.words[0usize..],
                    )?;
                    call.expect_no_input()?;
                    ::kiln_object::marshal::clear(&mut call.words);
                    match Numbers::add(object, argument_amount) {
                        Ok(answer) => {
                            let count = 0usize;
                            <u64 as ::kiln_object::Wire>::encode(
                                &answer,
                                &mut call.words,
                            );
                            Ok(count)
                        }
                        Err(error) => Err(error.into()),
                    }
                },
            )
    }
    #[inline(never)]
    fn answer_who<S: Numbers>(
        object: &S,
        call: &mut ::kiln_object::Incoming<'_>,
    ) -> ::kiln_object::Answer {
        COUNTS
            .answer(
                call,
                1usize,
                |call| {
                    if !call.rights.contains(::kiln_object::Rights::READ) {
                        return Err(::kiln_object::Error::Denied.into());
                    }
                    call.expect_no_input()?;
                    ::kiln_object::marshal::clear(&mut call.words);
                    match Numbers::who(object, call.caller) {
                        Ok(answer) => {
                            let count = 0usize;
                            <ProcessId as ::kiln_object::Wire>::encode(
                                &answer,
                                &mut call.words,
                            );
                            Ok(count)
                        }
                        Err(error) => Err(error.into()),
                    }
                },
            )
    }
    #[inline(never)]
    fn answer_open<S: Numbers>(
        object: &S,
        call: &mut ::kiln_object::Incoming<'_>,
    ) -> ::kiln_object::Answer {
        COUNTS
            .answer(
                call,
                2usize,
                |call| {
                    if !call.rights.contains(::kiln_object::Rights::READ) {
                        return Err(::kiln_object::Error::Denied.into());
                    }
                    let argument_owner = <ProcessId as ::kiln_object::Wire>::decode(
                        &call.words[0usize..],
                    )?;
                    if argument_owner != call.caller.0
                        && !call.rights.contains(::kiln_object::Rights::DELEGATE)
                    {
                        return Err(::kiln_object::Error::Denied.into());
                    }
                    call.expect_no_input()?;
                    ::kiln_object::marshal::clear(&mut call.words);
                    match Numbers::open(object, argument_owner) {
                        Ok(answer) => {
                            let count = 0usize;
                            <Reference<
                                dyn Numbers,
                            > as ::kiln_object::Wire>::encode(&answer, &mut call.words);
                            Ok(count)
                        }
                        Err(error) => Err(error.into()),
                    }
                },
            )
    }
    #[inline(never)]
    fn answer_note<S: Numbers>(
        object: &S,
        call: &mut ::kiln_object::Incoming<'_>,
    ) -> ::kiln_object::Answer {
        COUNTS
            .answer(
                call,
                3usize,
                |call| {
                    if !call.rights.contains(::kiln_object::Rights::WRITE) {
                        return Err(::kiln_object::Error::Denied.into());
                    }
                    let argument_number = <u32 as ::kiln_object::Wire>::decode(
                        &call.words[0usize..],
                    )?;
                    call.expect_no_input()?;
                    ::kiln_object::marshal::clear(&mut call.words);
                    match Numbers::note(object, argument_number) {
                        Ok(answer) => {
                            let count = 0usize;
                            <() as ::kiln_object::Wire>::encode(
                                &answer,
                                &mut call.words,
                            );
                            Ok(count)
                        }
                        Err(error) => Err(error.into()),
                    }
                },
            )
    }
    impl<S: Numbers + Send + Sync + 'static> ::kiln_object::Dispatch
    for NumbersDispatch<S> {
        #[inline]
        fn interface_hash(&self) -> u64 {
            <dyn Numbers as ::kiln_object::Interface>::HASH
        }
        #[inline]
        fn dispatch(
            &self,
            call: &mut ::kiln_object::Incoming<'_>,
        ) -> ::kiln_object::Answer {
            match call.method {
                1u16 => answer_add(&self.0, call),
                2u16 => answer_who(&self.0, call),
                3u16 => answer_open(&self.0, call),
                4u16 => answer_note(&self.0, call),
                _ => call.refuse(::kiln_object::Error::BadMethod),
            }
        }
        fn deliver(
            &self,
            call: &mut ::kiln_object::Incoming<'_>,
        ) -> ::kiln_object::Answer {
            match call.method {
                4u16 => answer_note(&self.0, call),
                _ => call.refuse(::kiln_object::Error::BadMethod),
            }
        }
        fn near(self: ::kiln_object::near::Arc<Self>, place: &mut dyn ::core::any::Any) {
            NumbersNear::put(self, place);
        }
        fn counts(&self, output: &mut [u8]) -> usize {
            COUNTS.write(&[1u16, 2u16, 3u16, 4u16], output)
        }
    }
};
#[doc(hidden)]
pub struct NumbersNear<S>(::kiln_object::near::Arc<NumbersDispatch<S>>);
impl<S: Numbers + Send + Sync + 'static> NumbersNear<S> {
    fn put(
        object: ::kiln_object::near::Arc<NumbersDispatch<S>>,
        place: &mut dyn ::core::any::Any,
    ) {
        type Place = Option<
            ::kiln_object::near::Box<<dyn Numbers as ::kiln_object::Callable>::Near>,
        >;
        if let Some(place) = place.downcast_mut::<Place>() {
            *place = Some(::kiln_object::near::Box::new(Self(object)));
        }
    }
}
impl<S: Numbers> Numbers for NumbersNear<S> {
    #[inline]
    fn add(&self, amount: u64) -> Result<u64, Error> {
        Numbers::add(&self.0.0, amount)
    }
    #[inline]
    fn who(&self, caller: Caller) -> Result<ProcessId, Error> {
        Numbers::who(&self.0.0, caller)
    }
    #[inline]
    fn open(&self, owner: ProcessId) -> Result<Reference<dyn Numbers>, Error> {
        Numbers::open(&self.0.0, owner)
    }
    #[inline]
    fn note(&self, number: u32) -> Result<(), Error> {
        Numbers::note(&self.0.0, number)
    }
}
impl ::kiln_object::Callable for dyn Numbers {
    type Stub<T: ::kiln_object::Transport> = NumbersStub<T>;
    type Near = dyn Numbers + Send + Sync;
    #[inline(always)]
    fn stub<T: ::kiln_object::Transport>(
        reference: ::kiln_object::Reference<Self>,
        transport: T,
    ) -> NumbersStub<T> {
        NumbersStub::new(reference, transport)
    }
    #[inline(always)]
    fn called<T: ::kiln_object::Transport>(
        stub: &NumbersStub<T>,
    ) -> ::kiln_object::Reference<Self> {
        stub.reference()
    }
    #[inline(always)]
    fn of<T: ::kiln_object::Binder>(object: &::kiln_object::Object<Self, T>) -> &Self {
        object
    }
}
impl<T: ::kiln_object::Binder> Numbers for ::kiln_object::Object<dyn Numbers, T> {
    #[inline(always)]
    fn add(&self, amount: u64) -> Result<u64, Error> {
        match self.place() {
            ::kiln_object::near::Place::Near(near) => {
                near.need(::kiln_object::Rights::WRITE)?;
                Numbers::add(near.object(), amount)
            }
            ::kiln_object::near::Place::Far(stub) => Numbers::add(stub, amount),
        }
    }
    #[inline(always)]
    fn who(&self, caller: Caller) -> Result<ProcessId, Error> {
        match self.place() {
            ::kiln_object::near::Place::Near(near) => {
                near.need(::kiln_object::Rights::READ)?;
                Numbers::who(near.object(), near.caller())
            }
            ::kiln_object::near::Place::Far(stub) => Numbers::who(stub, caller),
        }
    }
    #[inline(always)]
    fn open(&self, owner: ProcessId) -> Result<Reference<dyn Numbers>, Error> {
        match self.place() {
            ::kiln_object::near::Place::Near(near) => {
                near.need(::kiln_object::Rights::READ)?;
                near.delegate(owner)?;
                Numbers::open(near.object(), owner)
            }
            ::kiln_object::near::Place::Far(stub) => Numbers::open(stub, owner),
        }
    }
    #[inline(always)]
    fn note(&self, number: u32) -> Result<(), Error> {
        match self.place() {
            ::kiln_object::near::Place::Near(near) => {
                near.need(::kiln_object::Rights::WRITE)?;
                Numbers::note(near.object(), number)
            }
            ::kiln_object::near::Place::Far(stub) => Numbers::note(stub, number),
        }
    }
}
///Method numbers of [`Numbers`].
pub mod numbers_methods {
    ///[`Numbers::add`](super::Numbers::add).
    pub const ADD: u16 = 1u16;
    ///[`Numbers::who`](super::Numbers::who).
    pub const WHO: u16 = 2u16;
    ///[`Numbers::open`](super::Numbers::open).
    pub const OPEN: u16 = 3u16;
    ///[`Numbers::note`](super::Numbers::note).
    pub const NOTE: u16 = 4u16;
}
::kiln_object::on_host! {
    #[doc = "A call of [`Numbers`] with what it brought."] #[derive(Clone, Debug,
    PartialEq)] #[allow(dead_code, reason = "a test that needs none of it is fine")]
    #[allow(missing_docs, reason = "the methods' own documentation tells")] pub enum
    NumbersCall { Add { amount : u64 }, Who { caller : Caller }, Open { owner : ProcessId
    }, Note { number : u32 } } #[doc =
    "Stands in for a [`Numbers`] in tests on the host: it notes calls and gives the answers that the test says."]
    #[derive(Debug, Default)] #[allow(dead_code, reason =
    "a test that needs none of it is fine")] pub struct NumbersRecorder { calls :
    ::kiln_object::recorder::Calls < NumbersCall >, fallback :
    ::kiln_object::recorder::Fallback, script_add : ::kiln_object::recorder::Script < u64
    >, script_who : ::kiln_object::recorder::Script < ProcessId >, script_open :
    ::kiln_object::recorder::Script < Reference < dyn Numbers > >, script_note :
    ::kiln_object::recorder::Script < () > } #[allow(dead_code, reason =
    "a test that needs none of it is fine")] impl NumbersRecorder { #[doc =
    r" The calls since it was made or was last asked."] #[must_use] pub fn calls(& self)
    -> ::kiln_object::recorder::Vec < NumbersCall > { self.calls.take() } #[doc =
    r" What to answer to calls for which nothing is said; else they panic."] pub fn
    otherwise(& self, otherwise : ::kiln_object::recorder::Otherwise) -> & Self { self
    .fallback.set(otherwise); self } #[doc =
    "Answers a call of [`Numbers::add`]; each answer is for one call, in order."] pub fn
    answer_add(& self, answer : ::core::result::Result < u64, ::kiln_object::Error >) ->
    & Self { self.script_add.add(answer, & []); self } #[doc =
    "Answers a call of [`Numbers::who`]; each answer is for one call, in order."] pub fn
    answer_who(& self, answer : ::core::result::Result < ProcessId, ::kiln_object::Error
    >) -> & Self { self.script_who.add(answer, & []); self } #[doc =
    "Answers a call of [`Numbers::open`]; each answer is for one call, in order."] pub fn
    answer_open(& self, answer : ::core::result::Result < Reference < dyn Numbers >,
    ::kiln_object::Error >) -> & Self { self.script_open.add(answer, & []); self } #[doc
    = "Answers a call of [`Numbers::note`]; each answer is for one call, in order."] pub
    fn answer_note(& self, answer : ::core::result::Result < (), ::kiln_object::Error >)
    -> & Self { self.script_note.add(answer, & []); self } } impl Numbers for
    NumbersRecorder { fn add(& self, amount : u64) -> Result < u64, Error > { self.calls
    .note(NumbersCall::Add { amount : amount.clone() }); self.script_add
    .next("Numbers::add", & self.fallback, & mut []) } fn who(& self, caller : Caller) ->
    Result < ProcessId, Error > { self.calls.note(NumbersCall::Who { caller : caller
    .clone() }); self.script_who.next("Numbers::who", & self.fallback, & mut []) } fn
    open(& self, owner : ProcessId) -> Result < Reference < dyn Numbers >, Error > { self
    .calls.note(NumbersCall::Open { owner : owner.clone() }); self.script_open
    .next("Numbers::open", & self.fallback, & mut []) } fn note(& self, number : u32) ->
    Result < (), Error > { self.calls.note(NumbersCall::Note { number : number.clone()
    }); self.script_note.next("Numbers::note", & self.fallback, & mut []) } }
}
