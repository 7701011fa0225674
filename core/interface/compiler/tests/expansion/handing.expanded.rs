/// What hands references over.
trait Handing {
    fn listen(&self, listener: Handed<dyn Listener>, word: u64) -> Result<(), Error>;
}
impl ::kiln_object::Interface for dyn Handing {
    const NAME: &'static str = "test.handing";
    const TEXT: u64 = ::kiln_object::fingerprint::text(
        "test.handing\n1 listen WRITE Handed<dyn Listener> hand(GRANT|WRITE) u64 -> ()",
    );
    const HASH: u64 = ::kiln_object::fingerprint::combine(
        Self::TEXT,
        &[
            <dyn Listener as ::kiln_object::Interface>::TEXT,
            <u64 as ::kiln_object::Wire>::LAYOUT,
            <() as ::kiln_object::Wire>::LAYOUT,
        ],
    );
    const IDEMPOTENT: &'static [u16] = &[];
    const DESCRIPTION: &'static ::kiln_object::describe::Description = &::kiln_object::describe::Description {
        name: "test.handing",
        documentation: "What hands references over.",
        hash: Self::HASH,
        methods: &[
            ::kiln_object::describe::MethodDescription {
                number: 1u16,
                name: "listen",
                documentation: "",
                right: ::kiln_object::Rights::WRITE,
                delegate: None,
                idempotent: false,
                one_way: false,
                arguments: &[
                    ::kiln_object::describe::ArgumentDescription {
                        name: "listener",
                        kind: "Handed<dyn Listener>",
                        travel: ::kiln_object::describe::Travel::Handed(
                            ::kiln_object::Rights::empty()
                                .union(::kiln_object::Rights::WRITE)
                                .union(::kiln_object::Rights::GRANT),
                        ),
                        bound: None,
                    },
                    ::kiln_object::describe::ArgumentDescription {
                        name: "word",
                        kind: "u64",
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
        ::kiln_object::marshal::at_most(0usize + < ::kiln_object::RawReference as
        ::kiln_object::Wire > ::WORDS + < u64 as ::kiln_object::Wire > ::WORDS +
        KILN_LENGTHS, ::kiln_object::call::CALL_WORDS),
        "`listen`: the arguments take more words than a call carries; group them or send bytes"
    );
    assert!(
        ::kiln_object::marshal::at_most(< () as ::kiln_object::Wire > ::WORDS,
        ::kiln_object::call::RETURN_WORDS),
        "`listen`: the result takes more words than a return carries"
    );
    assert!(
        ::kiln_object::marshal::at_most({ const KILN_ROOM : usize =
        ::kiln_object::marshal::room(& []); KILN_ROOM },
        ::kiln_object::call::MESSAGE_BYTES),
        "`listen`: what its bounds allow is longer than the message that a call carries"
    );
};
///Calls the [`Handing`] that a reference names.
#[derive(Clone, Copy, Debug)]
struct HandingStub<T: ::kiln_object::Transport> {
    reference: ::kiln_object::Reference<dyn Handing>,
    transport: T,
}
impl<T: ::kiln_object::Transport> HandingStub<T> {
    /// A stub for what `reference` names, reached by `transport`.
    #[inline(always)]
    #[must_use]
    pub const fn new(
        reference: ::kiln_object::Reference<dyn Handing>,
        transport: T,
    ) -> Self {
        Self { reference, transport }
    }
    /// What is called.
    #[inline(always)]
    #[must_use]
    pub const fn reference(&self) -> ::kiln_object::Reference<dyn Handing> {
        self.reference
    }
}
impl<T: ::kiln_object::Transport> Handing for HandingStub<T> {
    #[inline]
    fn listen(&self, listener: Handed<dyn Listener>, word: u64) -> Result<(), Error> {
        let gift_listener = ::kiln_object::hand::Gift::give(
            &self.transport,
            listener.claimed(),
            self.reference.raw().process,
            ::kiln_object::Rights::WRITE | ::kiln_object::Rights::GRANT,
        )?;
        let mut words = [0u64; ::kiln_object::call::CALL_WORDS];
        ::kiln_object::Wire::encode(&gift_listener.reference(), &mut words[0usize..]);
        ::kiln_object::Wire::encode(
            &word,
            &mut words[0usize
                + <::kiln_object::RawReference as ::kiln_object::Wire>::WORDS..],
        );
        let reply = ::kiln_object::Transport::call_words(
            &self.transport,
            self.reference.raw(),
            1u16,
            words,
        )?;
        gift_listener.keep();
        let answer = <() as ::kiln_object::Wire>::decode(&reply)
            .map_err(|_| ::kiln_object::Error::BadAnswer)?;
        Ok(answer)
    }
}
///Answers calls to the [`Handing`] that it wraps.
#[derive(Clone, Copy, Debug)]
struct HandingDispatch<S>(pub S);
const _: () = {
    static COUNTS: ::kiln_object::count::Counts<1usize> = ::kiln_object::count::Counts::new();
    #[inline(never)]
    fn answer_listen<S: Handing>(
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
                    let argument_listener: Handed<dyn Listener> = ::kiln_object::Handed::arrived(
                        ::kiln_object::Wire::decode(&call.words[0usize..])?,
                        call.caller,
                    );
                    let argument_word = <u64 as ::kiln_object::Wire>::decode(
                        &call
                            .words[0usize
                            + <::kiln_object::RawReference as ::kiln_object::Wire>::WORDS..],
                    )?;
                    call.expect_no_input()?;
                    ::kiln_object::marshal::clear(&mut call.words);
                    match Handing::listen(object, argument_listener, argument_word) {
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
    impl<S: Handing + Send + Sync + 'static> ::kiln_object::Dispatch
    for HandingDispatch<S> {
        #[inline]
        fn interface_hash(&self) -> u64 {
            <dyn Handing as ::kiln_object::Interface>::HASH
        }
        #[inline]
        fn dispatch(
            &self,
            call: &mut ::kiln_object::Incoming<'_>,
        ) -> ::kiln_object::Answer {
            match call.method {
                1u16 => answer_listen(&self.0, call),
                _ => call.refuse(::kiln_object::Error::BadMethod),
            }
        }
        fn near(self: ::kiln_object::near::Arc<Self>, place: &mut dyn ::core::any::Any) {
            HandingNear::put(self, place);
        }
        fn counts(&self, output: &mut [u8]) -> usize {
            COUNTS.write(&[1u16], output)
        }
    }
};
#[doc(hidden)]
struct HandingNear<S>(::kiln_object::near::Arc<HandingDispatch<S>>);
impl<S: Handing + Send + Sync + 'static> HandingNear<S> {
    fn put(
        object: ::kiln_object::near::Arc<HandingDispatch<S>>,
        place: &mut dyn ::core::any::Any,
    ) {
        type Place = Option<
            ::kiln_object::near::Box<<dyn Handing as ::kiln_object::Callable>::Near>,
        >;
        if let Some(place) = place.downcast_mut::<Place>() {
            *place = Some(::kiln_object::near::Box::new(Self(object)));
        }
    }
}
impl<S: Handing> Handing for HandingNear<S> {
    #[inline]
    fn listen(&self, listener: Handed<dyn Listener>, word: u64) -> Result<(), Error> {
        Handing::listen(&self.0.0, listener, word)
    }
}
impl ::kiln_object::Callable for dyn Handing {
    type Stub<T: ::kiln_object::Transport> = HandingStub<T>;
    type Near = dyn Handing + Send + Sync;
    #[inline(always)]
    fn stub<T: ::kiln_object::Transport>(
        reference: ::kiln_object::Reference<Self>,
        transport: T,
    ) -> HandingStub<T> {
        HandingStub::new(reference, transport)
    }
    #[inline(always)]
    fn called<T: ::kiln_object::Transport>(
        stub: &HandingStub<T>,
    ) -> ::kiln_object::Reference<Self> {
        stub.reference()
    }
    #[inline(always)]
    fn of<T: ::kiln_object::Binder>(object: &::kiln_object::Object<Self, T>) -> &Self {
        object
    }
}
impl<T: ::kiln_object::Binder> Handing for ::kiln_object::Object<dyn Handing, T> {
    #[inline(always)]
    fn listen(&self, listener: Handed<dyn Listener>, word: u64) -> Result<(), Error> {
        match self.place() {
            ::kiln_object::near::Place::Near(near) => {
                near.need(::kiln_object::Rights::WRITE)?;
                let gift_listener = near
                    .give(
                        listener,
                        ::kiln_object::Rights::WRITE | ::kiln_object::Rights::GRANT,
                    )?;
                let answer = Handing::listen(
                    near.object(),
                    near.arrived(&gift_listener),
                    word,
                )?;
                gift_listener.keep();
                Ok(answer)
            }
            ::kiln_object::near::Place::Far(stub) => {
                Handing::listen(stub, listener, word)
            }
        }
    }
}
///Method numbers of [`Handing`].
mod handing_methods {
    ///[`Handing::listen`](super::Handing::listen).
    pub const LISTEN: u16 = 1u16;
}
::kiln_object::on_host! {
    #[doc = "A call of [`Handing`] with what it brought."] #[derive(Clone, Debug,
    PartialEq)] #[allow(dead_code, reason = "a test that needs none of it is fine")]
    #[allow(missing_docs, reason = "the methods' own documentation tells")] enum
    HandingCall { Listen { listener : Handed < dyn Listener >, word : u64 } } #[doc =
    "Stands in for a [`Handing`] in tests on the host: it notes calls and gives the answers that the test says."]
    #[derive(Debug, Default)] #[allow(dead_code, reason =
    "a test that needs none of it is fine")] struct HandingRecorder { calls :
    ::kiln_object::recorder::Calls < HandingCall >, fallback :
    ::kiln_object::recorder::Fallback, script_listen : ::kiln_object::recorder::Script <
    () > } #[allow(dead_code, reason = "a test that needs none of it is fine")] impl
    HandingRecorder { #[doc = r" The calls since it was made or was last asked."]
    #[must_use] pub fn calls(& self) -> ::kiln_object::recorder::Vec < HandingCall > {
    self.calls.take() } #[doc =
    r" What to answer to calls for which nothing is said; else they panic."] pub fn
    otherwise(& self, otherwise : ::kiln_object::recorder::Otherwise) -> & Self { self
    .fallback.set(otherwise); self } #[doc =
    "Answers a call of [`Handing::listen`]; each answer is for one call, in order."] pub
    fn answer_listen(& self, answer : ::core::result::Result < (), ::kiln_object::Error
    >) -> & Self { self.script_listen.add(answer, & []); self } } impl Handing for
    HandingRecorder { fn listen(& self, listener : Handed < dyn Listener >, word : u64)
    -> Result < (), Error > { self.calls.note(HandingCall::Listen { listener : listener
    .clone(), word : word.clone() }); self.script_listen.next("Handing::listen", & self
    .fallback, & mut []) } }
}
