/// What travels as bytes.
trait Bytes {
    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, Error>;
    fn rename(&self, from: &[u8], to: &str, elsewhere: &mut [u8]) -> Result<(), Error>;
    fn set(
        &self,
        name: &str,
        attributes: &Attributes,
        list: &[u64],
    ) -> Result<(), Error>;
    fn get(&self, attributes: &mut Attributes) -> Result<(), Error>;
    fn turn(&self, bytes: &mut [u8]) -> Result<(), Error>;
}
impl ::kiln_object::Interface for dyn Bytes {
    const NAME: &'static str = "test.bytes";
    const TEXT: u64 = ::kiln_object::fingerprint::text(
        "test.bytes\n1 read READ u64 &mut[u8] -> usize\n2 rename LOOKUP &[u8] &str &mut[u8] -> ()\n3 set WRITE &str &Attributes &[u64] -> ()\n4 get READ &mut Attributes -> ()\n5 turn WRITE &mut[u8] in_out -> ()",
    );
    const HASH: u64 = ::kiln_object::fingerprint::combine(
        Self::TEXT,
        &[
            <u64 as ::kiln_object::Wire>::LAYOUT,
            <usize as ::kiln_object::Wire>::LAYOUT,
            (255) as u64,
            <() as ::kiln_object::Wire>::LAYOUT,
            <Attributes as ::kiln_object::Plain>::LAYOUT,
            <u64 as ::kiln_object::Plain>::LAYOUT,
            (8) as u64,
            <() as ::kiln_object::Wire>::LAYOUT,
            <Attributes as ::kiln_object::Plain>::LAYOUT,
            <() as ::kiln_object::Wire>::LAYOUT,
            (64) as u64,
            <() as ::kiln_object::Wire>::LAYOUT,
        ],
    );
    const IDEMPOTENT: &'static [u16] = &[];
    const DESCRIPTION: &'static ::kiln_object::describe::Description = &::kiln_object::describe::Description {
        name: "test.bytes",
        documentation: "What travels as bytes.",
        hash: Self::HASH,
        methods: &[
            ::kiln_object::describe::MethodDescription {
                number: 1u16,
                name: "read",
                documentation: "",
                right: ::kiln_object::Rights::READ,
                delegate: None,
                idempotent: false,
                one_way: false,
                arguments: &[
                    ::kiln_object::describe::ArgumentDescription {
                        name: "offset",
                        kind: "u64",
                        travel: ::kiln_object::describe::Travel::Words,
                        bound: None,
                    },
                    ::kiln_object::describe::ArgumentDescription {
                        name: "bytes",
                        kind: "&mut [u8]",
                        travel: ::kiln_object::describe::Travel::Out,
                        bound: None,
                    },
                ],
                result: "usize",
            },
            ::kiln_object::describe::MethodDescription {
                number: 2u16,
                name: "rename",
                documentation: "",
                right: ::kiln_object::Rights::LOOKUP,
                delegate: None,
                idempotent: false,
                one_way: false,
                arguments: &[
                    ::kiln_object::describe::ArgumentDescription {
                        name: "from",
                        kind: "&[u8]",
                        travel: ::kiln_object::describe::Travel::In,
                        bound: None,
                    },
                    ::kiln_object::describe::ArgumentDescription {
                        name: "to",
                        kind: "&str",
                        travel: ::kiln_object::describe::Travel::In,
                        bound: Some(255),
                    },
                    ::kiln_object::describe::ArgumentDescription {
                        name: "elsewhere",
                        kind: "&mut [u8]",
                        travel: ::kiln_object::describe::Travel::Out,
                        bound: None,
                    },
                ],
                result: "()",
            },
            ::kiln_object::describe::MethodDescription {
                number: 3u16,
                name: "set",
                documentation: "",
                right: ::kiln_object::Rights::WRITE,
                delegate: None,
                idempotent: false,
                one_way: false,
                arguments: &[
                    ::kiln_object::describe::ArgumentDescription {
                        name: "name",
                        kind: "&str",
                        travel: ::kiln_object::describe::Travel::In,
                        bound: None,
                    },
                    ::kiln_object::describe::ArgumentDescription {
                        name: "attributes",
                        kind: "&Attributes",
                        travel: ::kiln_object::describe::Travel::In,
                        bound: None,
                    },
                    ::kiln_object::describe::ArgumentDescription {
                        name: "list",
                        kind: "&[u64]",
                        travel: ::kiln_object::describe::Travel::In,
                        bound: Some(8),
                    },
                ],
                result: "()",
            },
            ::kiln_object::describe::MethodDescription {
                number: 4u16,
                name: "get",
                documentation: "",
                right: ::kiln_object::Rights::READ,
                delegate: None,
                idempotent: false,
                one_way: false,
                arguments: &[
                    ::kiln_object::describe::ArgumentDescription {
                        name: "attributes",
                        kind: "&mut Attributes",
                        travel: ::kiln_object::describe::Travel::Out,
                        bound: None,
                    },
                ],
                result: "()",
            },
            ::kiln_object::describe::MethodDescription {
                number: 5u16,
                name: "turn",
                documentation: "",
                right: ::kiln_object::Rights::WRITE,
                delegate: None,
                idempotent: false,
                one_way: false,
                arguments: &[
                    ::kiln_object::describe::ArgumentDescription {
                        name: "bytes",
                        kind: "&mut [u8]",
                        travel: ::kiln_object::describe::Travel::InOut,
                        bound: Some(64),
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
        "`read`: the arguments take more words than a call carries; group them or send bytes"
    );
    assert!(
        ::kiln_object::marshal::at_most(< usize as ::kiln_object::Wire > ::WORDS,
        ::kiln_object::call::RETURN_WORDS),
        "`read`: the result takes more words than a return carries"
    );
    assert!(
        ::kiln_object::marshal::at_most({ const KILN_ROOM : usize =
        ::kiln_object::marshal::room(& []); KILN_ROOM },
        ::kiln_object::call::MESSAGE_BYTES),
        "`read`: what its bounds allow is longer than the message that a call carries"
    );
};
const _: () = {
    const KILN_LENGTHS: usize = 1usize;
    assert!(
        ::kiln_object::marshal::at_most(0usize + KILN_LENGTHS,
        ::kiln_object::call::CALL_WORDS),
        "`rename`: the arguments take more words than a call carries; group them or send bytes"
    );
    assert!(
        ::kiln_object::marshal::at_most(< () as ::kiln_object::Wire > ::WORDS,
        ::kiln_object::call::RETURN_WORDS),
        "`rename`: the result takes more words than a return carries"
    );
    assert!(
        ::kiln_object::marshal::at_most(255, ::kiln_object::call::MESSAGE_BYTES),
        "`rename`: what its bounds allow is longer than the message that a call carries"
    );
    assert!(
        ::kiln_object::marshal::at_most({ const KILN_ROOM : usize =
        ::kiln_object::marshal::room(& [None, Some(255)]); KILN_ROOM },
        ::kiln_object::call::MESSAGE_BYTES),
        "`rename`: what its bounds allow is longer than the message that a call carries"
    );
};
const _: () = {
    const KILN_LENGTHS: usize = 1usize;
    assert!(
        ::kiln_object::marshal::at_most(0usize + KILN_LENGTHS,
        ::kiln_object::call::CALL_WORDS),
        "`set`: the arguments take more words than a call carries; group them or send bytes"
    );
    assert!(
        ::kiln_object::marshal::at_most(< () as ::kiln_object::Wire > ::WORDS,
        ::kiln_object::call::RETURN_WORDS),
        "`set`: the result takes more words than a return carries"
    );
    ::kiln_object::plain::check::<Attributes>();
    assert!(
        ::kiln_object::marshal::at_most(1usize * size_of:: < Attributes > (),
        ::kiln_object::call::MESSAGE_BYTES),
        "`set`: what its bounds allow is longer than the message that a call carries"
    );
    ::kiln_object::plain::check::<u64>();
    assert!(
        ::kiln_object::marshal::at_most(8 * size_of:: < u64 > (),
        ::kiln_object::call::MESSAGE_BYTES),
        "`set`: what its bounds allow is longer than the message that a call carries"
    );
    assert!(
        ::kiln_object::marshal::at_most({ const KILN_ROOM : usize =
        ::kiln_object::marshal::room(& [Some(size_of:: < Attributes > ()), Some(8 *
        size_of:: < u64 > ()), None]); KILN_ROOM }, ::kiln_object::call::MESSAGE_BYTES),
        "`set`: what its bounds allow is longer than the message that a call carries"
    );
};
const _: () = {
    const KILN_LENGTHS: usize = 0usize;
    assert!(
        ::kiln_object::marshal::at_most(0usize + KILN_LENGTHS,
        ::kiln_object::call::CALL_WORDS),
        "`get`: the arguments take more words than a call carries; group them or send bytes"
    );
    assert!(
        ::kiln_object::marshal::at_most(< () as ::kiln_object::Wire > ::WORDS,
        ::kiln_object::call::RETURN_WORDS),
        "`get`: the result takes more words than a return carries"
    );
    ::kiln_object::plain::check::<Attributes>();
    assert!(
        ::kiln_object::marshal::at_most(1usize * size_of:: < Attributes > (),
        ::kiln_object::call::MESSAGE_BYTES),
        "`get`: what its bounds allow is longer than the message that a call carries"
    );
    assert!(
        ::kiln_object::marshal::at_most({ const KILN_ROOM : usize =
        ::kiln_object::marshal::room(& []); KILN_ROOM },
        ::kiln_object::call::MESSAGE_BYTES),
        "`get`: what its bounds allow is longer than the message that a call carries"
    );
};
const _: () = {
    const KILN_LENGTHS: usize = 0usize;
    assert!(
        ::kiln_object::marshal::at_most(0usize + KILN_LENGTHS,
        ::kiln_object::call::CALL_WORDS),
        "`turn`: the arguments take more words than a call carries; group them or send bytes"
    );
    assert!(
        ::kiln_object::marshal::at_most(< () as ::kiln_object::Wire > ::WORDS,
        ::kiln_object::call::RETURN_WORDS),
        "`turn`: the result takes more words than a return carries"
    );
    assert!(
        ::kiln_object::marshal::at_most(64, ::kiln_object::call::MESSAGE_BYTES),
        "`turn`: what its bounds allow is longer than the message that a call carries"
    );
    assert!(
        ::kiln_object::marshal::at_most({ const KILN_ROOM : usize =
        ::kiln_object::marshal::room(& [Some(64)]); KILN_ROOM },
        ::kiln_object::call::MESSAGE_BYTES),
        "`turn`: what its bounds allow is longer than the message that a call carries"
    );
};
///Calls the [`Bytes`] that a reference names.
#[derive(Clone, Copy, Debug)]
struct BytesStub<T: ::kiln_object::Transport> {
    reference: ::kiln_object::Reference<dyn Bytes>,
    transport: T,
}
impl<T: ::kiln_object::Transport> BytesStub<T> {
    /// A stub for what `reference` names, reached by `transport`.
    #[inline(always)]
    #[must_use]
    pub const fn new(
        reference: ::kiln_object::Reference<dyn Bytes>,
        transport: T,
    ) -> Self {
        Self { reference, transport }
    }
    /// What is called.
    #[inline(always)]
    #[must_use]
    pub const fn reference(&self) -> ::kiln_object::Reference<dyn Bytes> {
        self.reference
    }
}
impl<T: ::kiln_object::Transport> Bytes for BytesStub<T> {
    #[inline]
    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, Error> {
        let mut words = [0u64; ::kiln_object::call::CALL_WORDS];
        ::kiln_object::Wire::encode(&offset, &mut words[0usize..]);
        let reply = ::kiln_object::Transport::call(
            &self.transport,
            self.reference.raw(),
            1u16,
            words,
            &[],
            ::kiln_object::marshal::clamp(bytes),
        )?;
        let answer = <usize as ::kiln_object::Wire>::decode(&reply.words)
            .map_err(|_| ::kiln_object::Error::BadAnswer)?;
        if answer > reply.output {
            return Err(::kiln_object::Error::BadAnswer);
        }
        Ok(answer)
    }
    #[inline]
    fn rename(&self, from: &[u8], to: &str, elsewhere: &mut [u8]) -> Result<(), Error> {
        ::kiln_object::marshal::within(to.len(), 255)?;
        const KILN_LENGTHS: usize = 0usize;
        let mut words = [0u64; ::kiln_object::call::CALL_WORDS];
        words[KILN_LENGTHS + 0usize] = from.len() as u64;
        let reply = ::kiln_object::marshal::with_joined(
            [from, to.as_bytes()],
            |bytes| ::kiln_object::Transport::call(
                &self.transport,
                self.reference.raw(),
                2u16,
                words,
                bytes,
                ::kiln_object::marshal::clamp(elsewhere),
            ),
        )?;
        let answer = <() as ::kiln_object::Wire>::decode(&reply.words)
            .map_err(|_| ::kiln_object::Error::BadAnswer)?;
        Ok(answer)
    }
    #[inline]
    fn set(
        &self,
        name: &str,
        attributes: &Attributes,
        list: &[u64],
    ) -> Result<(), Error> {
        ::kiln_object::marshal::within(list.len(), 8)?;
        const KILN_LENGTHS: usize = 0usize;
        let mut words = [0u64; ::kiln_object::call::CALL_WORDS];
        words[KILN_LENGTHS + 0usize] = ::kiln_object::plain::slice_bytes(list).len()
            as u64;
        let reply = {
            let mut room = [0u8; {
                const KILN_ROOM: usize = ::kiln_object::marshal::room(
                    &[Some(size_of::<Attributes>()), Some(8 * size_of::<u64>()), None],
                );
                KILN_ROOM
            }];
            let bytes = ::kiln_object::marshal::join_aligned(
                &[
                    ::kiln_object::plain::bytes(attributes),
                    ::kiln_object::plain::slice_bytes(list),
                    name.as_bytes(),
                ],
                &mut room,
            )?;
            ::kiln_object::Transport::call(
                &self.transport,
                self.reference.raw(),
                3u16,
                words,
                bytes,
                &mut [],
            )
        }?;
        let answer = <() as ::kiln_object::Wire>::decode(&reply.words)
            .map_err(|_| ::kiln_object::Error::BadAnswer)?;
        Ok(answer)
    }
    #[inline]
    fn get(&self, attributes: &mut Attributes) -> Result<(), Error> {
        let words = [0u64; ::kiln_object::call::CALL_WORDS];
        let reply = ::kiln_object::Transport::call(
            &self.transport,
            self.reference.raw(),
            4u16,
            words,
            &[],
            ::kiln_object::plain::bytes_mut(attributes),
        )?;
        let answer = <() as ::kiln_object::Wire>::decode(&reply.words)
            .map_err(|_| ::kiln_object::Error::BadAnswer)?;
        if reply.output != ::kiln_object::plain::bytes(attributes).len() {
            return Err(::kiln_object::Error::BadAnswer);
        }
        Ok(answer)
    }
    #[inline]
    fn turn(&self, bytes: &mut [u8]) -> Result<(), Error> {
        ::kiln_object::marshal::within(bytes.len(), 64)?;
        let words = [0u64; ::kiln_object::call::CALL_WORDS];
        let reply = {
            let mut room = [0u8; {
                const KILN_ROOM: usize = ::kiln_object::marshal::room(&[Some(64)]);
                KILN_ROOM
            }];
            let bytes = ::kiln_object::marshal::join_aligned(&[bytes], &mut room)?;
            ::kiln_object::Transport::call(
                &self.transport,
                self.reference.raw(),
                5u16,
                words,
                bytes,
                ::kiln_object::marshal::clamp_to(bytes, 64),
            )
        }?;
        let answer = <() as ::kiln_object::Wire>::decode(&reply.words)
            .map_err(|_| ::kiln_object::Error::BadAnswer)?;
        if reply.output != bytes.len() {
            return Err(::kiln_object::Error::BadAnswer);
        }
        Ok(answer)
    }
}
///Answers calls to the [`Bytes`] that it wraps.
#[derive(Clone, Copy, Debug)]
struct BytesDispatch<S>(pub S);
const _: () = {
    static COUNTS: ::kiln_object::count::Counts<5usize> = ::kiln_object::count::Counts::new();
    #[inline(never)]
    fn answer_read<S: Bytes>(
        object: &S,
        call: &mut ::kiln_object::Incoming<'_>,
    ) -> ::kiln_object::Answer {
        COUNTS
            .answer(
                call,
                0usize,
                |call| {
                    if !call.rights.contains(::kiln_object::Rights::READ) {
                        return Err(::kiln_object::Error::Denied.into());
                    }
                    let argument_offset = <u64 as ::kiln_object::Wire>::decode(
                        &call.words[0usize..],
                    )?;
                    let (input, output) = call.take_bytes();
                    ::kiln_object::marshal::expect_none(input)?;
                    ::kiln_object::marshal::prepare(output);
                    ::kiln_object::marshal::clear(&mut call.words);
                    match Bytes::read(object, argument_offset, &mut *output) {
                        Ok(answer) => {
                            let count = ::kiln_object::marshal::count(
                                answer as u64,
                                output,
                            )?;
                            <usize as ::kiln_object::Wire>::encode(
                                &answer,
                                &mut call.words,
                            );
                            Ok(count)
                        }
                        Err(error) => Err(::kiln_object::marshal::failure(error, output)),
                    }
                },
            )
    }
    #[inline(never)]
    fn answer_rename<S: Bytes>(
        object: &S,
        call: &mut ::kiln_object::Incoming<'_>,
    ) -> ::kiln_object::Answer {
        COUNTS
            .answer(
                call,
                1usize,
                |call| {
                    if !call.rights.contains(::kiln_object::Rights::LOOKUP) {
                        return Err(::kiln_object::Error::Denied.into());
                    }
                    let (input, output) = call.take_bytes();
                    let rest = input;
                    let (argument_from, rest) = ::kiln_object::marshal::split(
                        rest,
                        call.words[0usize + 0usize],
                    )?;
                    let argument_to = rest;
                    let argument_to = ::kiln_object::marshal::text(argument_to)?;
                    ::kiln_object::marshal::within(argument_to.len(), 255)?;
                    ::kiln_object::marshal::prepare(output);
                    ::kiln_object::marshal::clear(&mut call.words);
                    match Bytes::rename(
                        object,
                        argument_from,
                        argument_to,
                        &mut *output,
                    ) {
                        Ok(answer) => {
                            let count = 0usize;
                            <() as ::kiln_object::Wire>::encode(
                                &answer,
                                &mut call.words,
                            );
                            Ok(count)
                        }
                        Err(error) => Err(::kiln_object::marshal::failure(error, output)),
                    }
                },
            )
    }
    #[inline(never)]
    fn answer_set<S: Bytes>(
        object: &S,
        call: &mut ::kiln_object::Incoming<'_>,
    ) -> ::kiln_object::Answer {
        COUNTS
            .answer(
                call,
                2usize,
                |call| {
                    if !call.rights.contains(::kiln_object::Rights::WRITE) {
                        return Err(::kiln_object::Error::Denied.into());
                    }
                    let (input, _) = call.take_bytes();
                    let rest = input;
                    let (argument_attributes, rest) = ::kiln_object::marshal::split_aligned(
                        rest,
                        size_of::<Attributes>() as u64,
                    )?;
                    let argument_attributes: &Attributes = ::kiln_object::plain::one(
                        argument_attributes,
                    )?;
                    let (argument_list, rest) = ::kiln_object::marshal::split_aligned(
                        rest,
                        call.words[0usize + 0usize],
                    )?;
                    let argument_list: &[u64] = ::kiln_object::plain::slice(
                        argument_list,
                    )?;
                    ::kiln_object::marshal::within(argument_list.len(), 8)?;
                    let argument_name = rest;
                    let argument_name = ::kiln_object::marshal::text(argument_name)?;
                    ::kiln_object::marshal::clear(&mut call.words);
                    match Bytes::set(
                        object,
                        argument_name,
                        argument_attributes,
                        argument_list,
                    ) {
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
    #[inline(never)]
    fn answer_get<S: Bytes>(
        object: &S,
        call: &mut ::kiln_object::Incoming<'_>,
    ) -> ::kiln_object::Answer {
        COUNTS
            .answer(
                call,
                3usize,
                |call| {
                    if !call.rights.contains(::kiln_object::Rights::READ) {
                        return Err(::kiln_object::Error::Denied.into());
                    }
                    let (input, output) = call.take_bytes();
                    ::kiln_object::marshal::expect_none(input)?;
                    let argument_attributes = ::kiln_object::plain::one_out::<
                        Attributes,
                    >(&mut *output)?;
                    ::kiln_object::marshal::clear(&mut call.words);
                    match Bytes::get(object, argument_attributes) {
                        Ok(answer) => {
                            let count = size_of::<Attributes>();
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
    #[inline(never)]
    fn answer_turn<S: Bytes>(
        object: &S,
        call: &mut ::kiln_object::Incoming<'_>,
    ) -> ::kiln_object::Answer {
        COUNTS
            .answer(
                call,
                4usize,
                |call| {
                    if !call.rights.contains(::kiln_object::Rights::WRITE) {
                        return Err(::kiln_object::Error::Denied.into());
                    }
                    let (input, output) = call.take_bytes();
                    let rest = input;
                    let argument_bytes = rest;
                    ::kiln_object::marshal::within(argument_bytes.len(), 64)?;
                    let argument_bytes = ::kiln_object::marshal::filled(
                        &mut *output,
                        argument_bytes,
                    )?;
                    ::kiln_object::marshal::clear(&mut call.words);
                    match Bytes::turn(object, argument_bytes) {
                        Ok(answer) => {
                            let count = output.len();
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
    impl<S: Bytes + Send + Sync + 'static> ::kiln_object::Dispatch for BytesDispatch<S> {
        #[inline]
        fn interface_hash(&self) -> u64 {
            <dyn Bytes as ::kiln_object::Interface>::HASH
        }
        #[inline]
        fn dispatch(
            &self,
            call: &mut ::kiln_object::Incoming<'_>,
        ) -> ::kiln_object::Answer {
            match call.method {
                1u16 => answer_read(&self.0, call),
                2u16 => answer_rename(&self.0, call),
                3u16 => answer_set(&self.0, call),
                4u16 => answer_get(&self.0, call),
                5u16 => answer_turn(&self.0, call),
                _ => call.refuse(::kiln_object::Error::BadMethod),
            }
        }
        fn near(self: ::kiln_object::near::Arc<Self>, place: &mut dyn ::core::any::Any) {
            BytesNear::put(self, place);
        }
        fn counts(&self, output: &mut [u8]) -> usize {
            COUNTS.write(&[1u16, 2u16, 3u16, 4u16, 5u16], output)
        }
    }
};
#[doc(hidden)]
struct BytesNear<S>(::kiln_object::near::Arc<BytesDispatch<S>>);
impl<S: Bytes + Send + Sync + 'static> BytesNear<S> {
    fn put(
        object: ::kiln_object::near::Arc<BytesDispatch<S>>,
        place: &mut dyn ::core::any::Any,
    ) {
        type Place = Option<
            ::kiln_object::near::Box<<dyn Bytes as ::kiln_object::Callable>::Near>,
        >;
        if let Some(place) = place.downcast_mut::<Place>() {
            *place = Some(::kiln_object::near::Box::new(Self(object)));
        }
    }
}
impl<S: Bytes> Bytes for BytesNear<S> {
    #[inline]
    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, Error> {
        Bytes::read(&self.0.0, offset, bytes)
    }
    #[inline]
    fn rename(&self, from: &[u8], to: &str, elsewhere: &mut [u8]) -> Result<(), Error> {
        Bytes::rename(&self.0.0, from, to, elsewhere)
    }
    #[inline]
    fn set(
        &self,
        name: &str,
        attributes: &Attributes,
        list: &[u64],
    ) -> Result<(), Error> {
        Bytes::set(&self.0.0, name, attributes, list)
    }
    #[inline]
    fn get(&self, attributes: &mut Attributes) -> Result<(), Error> {
        Bytes::get(&self.0.0, attributes)
    }
    #[inline]
    fn turn(&self, bytes: &mut [u8]) -> Result<(), Error> {
        Bytes::turn(&self.0.0, bytes)
    }
}
impl ::kiln_object::Callable for dyn Bytes {
    type Stub<T: ::kiln_object::Transport> = BytesStub<T>;
    type Near = dyn Bytes + Send + Sync;
    #[inline(always)]
    fn stub<T: ::kiln_object::Transport>(
        reference: ::kiln_object::Reference<Self>,
        transport: T,
    ) -> BytesStub<T> {
        BytesStub::new(reference, transport)
    }
    #[inline(always)]
    fn called<T: ::kiln_object::Transport>(
        stub: &BytesStub<T>,
    ) -> ::kiln_object::Reference<Self> {
        stub.reference()
    }
    #[inline(always)]
    fn of<T: ::kiln_object::Binder>(object: &::kiln_object::Object<Self, T>) -> &Self {
        object
    }
}
impl<T: ::kiln_object::Binder> Bytes for ::kiln_object::Object<dyn Bytes, T> {
    #[inline(always)]
    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, Error> {
        match self.place() {
            ::kiln_object::near::Place::Near(near) => {
                near.need(::kiln_object::Rights::READ)?;
                let bytes = ::kiln_object::near::output(bytes);
                let room = bytes.len();
                let answer = Bytes::read(near.object(), offset, bytes)?;
                if answer as u64 > room as u64 {
                    return Err(::kiln_object::Error::BadAnswer);
                }
                Ok(answer)
            }
            ::kiln_object::near::Place::Far(stub) => Bytes::read(stub, offset, bytes),
        }
    }
    #[inline(always)]
    fn rename(&self, from: &[u8], to: &str, elsewhere: &mut [u8]) -> Result<(), Error> {
        match self.place() {
            ::kiln_object::near::Place::Near(near) => {
                ::kiln_object::marshal::within(to.len(), 255)?;
                ::kiln_object::near::fits(
                    0usize.saturating_add(from.len()).saturating_add(to.as_bytes().len()),
                )?;
                near.need(::kiln_object::Rights::LOOKUP)?;
                let elsewhere = ::kiln_object::near::output(elsewhere);
                Bytes::rename(near.object(), from, to, elsewhere)
            }
            ::kiln_object::near::Place::Far(stub) => {
                Bytes::rename(stub, from, to, elsewhere)
            }
        }
    }
    #[inline(always)]
    fn set(
        &self,
        name: &str,
        attributes: &Attributes,
        list: &[u64],
    ) -> Result<(), Error> {
        match self.place() {
            ::kiln_object::near::Place::Near(near) => {
                ::kiln_object::marshal::within(list.len(), 8)?;
                ::kiln_object::near::fits(
                    0usize
                        .saturating_add(::kiln_object::plain::bytes(attributes).len())
                        .saturating_add(::kiln_object::plain::slice_bytes(list).len())
                        .saturating_add(name.as_bytes().len()),
                )?;
                near.need(::kiln_object::Rights::WRITE)?;
                Bytes::set(near.object(), name, attributes, list)
            }
            ::kiln_object::near::Place::Far(stub) => {
                Bytes::set(stub, name, attributes, list)
            }
        }
    }
    #[inline(always)]
    fn get(&self, attributes: &mut Attributes) -> Result<(), Error> {
        match self.place() {
            ::kiln_object::near::Place::Near(near) => {
                near.need(::kiln_object::Rights::READ)?;
                Bytes::get(near.object(), attributes)
            }
            ::kiln_object::near::Place::Far(stub) => Bytes::get(stub, attributes),
        }
    }
    #[inline(always)]
    fn turn(&self, bytes: &mut [u8]) -> Result<(), Error> {
        match self.place() {
            ::kiln_object::near::Place::Near(near) => {
                ::kiln_object::marshal::within(bytes.len(), 64)?;
                ::kiln_object::near::fits(0usize.saturating_add(bytes.len()))?;
                near.need(::kiln_object::Rights::WRITE)?;
                Bytes::turn(near.object(), bytes)
            }
            ::kiln_object::near::Place::Far(stub) => Bytes::turn(stub, bytes),
        }
    }
}
///Method numbers of [`Bytes`].
mod bytes_methods {
    ///[`Bytes::read`](super::Bytes::read).
    pub const READ: u16 = 1u16;
    ///[`Bytes::rename`](super::Bytes::rename).
    pub const RENAME: u16 = 2u16;
    ///[`Bytes::set`](super::Bytes::set).
    pub const SET: u16 = 3u16;
    ///[`Bytes::get`](super::Bytes::get).
    pub const GET: u16 = 4u16;
    ///[`Bytes::turn`](super::Bytes::turn).
    pub const TURN: u16 = 5u16;
}
::kiln_object::on_host! {
    #[doc = "A call of [`Bytes`] with what it brought."] #[derive(Clone, Debug,
    PartialEq)] #[allow(dead_code, reason = "a test that needs none of it is fine")]
    #[allow(missing_docs, reason = "the methods' own documentation tells")] enum
    BytesCall { Read { offset : u64 }, Rename { from : ::kiln_object::recorder::Vec < u8
    >, to : ::kiln_object::recorder::Vec < u8 > }, Set { name :
    ::kiln_object::recorder::Vec < u8 >, attributes : Attributes, list :
    ::kiln_object::recorder::Vec < u64 > }, Get, Turn { bytes :
    ::kiln_object::recorder::Vec < u8 > } } #[doc =
    "Stands in for a [`Bytes`] in tests on the host: it notes calls and gives the answers that the test says."]
    #[derive(Debug, Default)] #[allow(dead_code, reason =
    "a test that needs none of it is fine")] struct BytesRecorder { calls :
    ::kiln_object::recorder::Calls < BytesCall >, fallback :
    ::kiln_object::recorder::Fallback, script_read : ::kiln_object::recorder::Script <
    usize >, script_rename : ::kiln_object::recorder::Script < () >, script_set :
    ::kiln_object::recorder::Script < () >, script_get : ::kiln_object::recorder::Script
    < () >, script_turn : ::kiln_object::recorder::Script < () > } #[allow(dead_code,
    reason = "a test that needs none of it is fine")] impl BytesRecorder { #[doc =
    r" The calls since it was made or was last asked."] #[must_use] pub fn calls(& self)
    -> ::kiln_object::recorder::Vec < BytesCall > { self.calls.take() } #[doc =
    r" What to answer to calls for which nothing is said; else they panic."] pub fn
    otherwise(& self, otherwise : ::kiln_object::recorder::Otherwise) -> & Self { self
    .fallback.set(otherwise); self } #[doc =
    "Answers a call of [`Bytes::read`]; each answer is for one call, in order."] pub fn
    answer_read(& self, answer : ::core::result::Result < usize, ::kiln_object::Error >,
    filled : & [u8]) -> & Self { self.script_read.add(answer, filled); self } #[doc =
    "Answers a call of [`Bytes::rename`]; each answer is for one call, in order."] pub fn
    answer_rename(& self, answer : ::core::result::Result < (), ::kiln_object::Error >,
    filled : & [u8]) -> & Self { self.script_rename.add(answer, filled); self } #[doc =
    "Answers a call of [`Bytes::set`]; each answer is for one call, in order."] pub fn
    answer_set(& self, answer : ::core::result::Result < (), ::kiln_object::Error >) -> &
    Self { self.script_set.add(answer, & []); self } #[doc =
    "Answers a call of [`Bytes::get`]; each answer is for one call, in order."] pub fn
    answer_get(& self, answer : ::core::result::Result < (), ::kiln_object::Error >,
    filled : & Attributes) -> & Self { self.script_get.add(answer,
    ::kiln_object::plain::bytes(filled)); self } #[doc =
    "Answers a call of [`Bytes::turn`]; each answer is for one call, in order."] pub fn
    answer_turn(& self, answer : ::core::result::Result < (), ::kiln_object::Error >,
    filled : & [u8]) -> & Self { self.script_turn.add(answer, filled); self } } impl
    Bytes for BytesRecorder { fn read(& self, offset : u64, bytes : & mut [u8]) -> Result
    < usize, Error > { self.calls.note(BytesCall::Read { offset : offset.clone() }); self
    .script_read.next("Bytes::read", & self.fallback, bytes) } fn rename(& self, from : &
    [u8], to : & str, elsewhere : & mut [u8]) -> Result < (), Error > { self.calls
    .note(BytesCall::Rename { from : ::kiln_object::recorder::Vec::from(& * from), to :
    ::kiln_object::recorder::Vec::from(& * to.as_bytes()) }); self.script_rename
    .next("Bytes::rename", & self.fallback, elsewhere) } fn set(& self, name : & str,
    attributes : & Attributes, list : & [u64]) -> Result < (), Error > { self.calls
    .note(BytesCall::Set { name : ::kiln_object::recorder::Vec::from(& * name
    .as_bytes()), attributes : ::core::clone::Clone::clone(& * attributes), list :
    ::kiln_object::recorder::Vec::from(& * list) }); self.script_set.next("Bytes::set", &
    self.fallback, & mut []) } fn get(& self, attributes : & mut Attributes) -> Result <
    (), Error > { self.calls.note(BytesCall::Get {}); self.script_get.next("Bytes::get",
    & self.fallback, ::kiln_object::plain::bytes_mut(attributes)) } fn turn(& self, bytes
    : & mut [u8]) -> Result < (), Error > { self.calls.note(BytesCall::Turn { bytes :
    ::kiln_object::recorder::Vec::from(& * bytes) }); self.script_turn
    .next("Bytes::turn", & self.fallback, bytes) } }
}
