#[diagnostic::do_not_recommend]
impl ::kiln_object::Wire for Range {
    const WORDS: usize = 0usize + <u64 as ::kiln_object::Wire>::WORDS
        + <bool as ::kiln_object::Wire>::WORDS
        + <Option<ProcessId> as ::kiln_object::Wire>::WORDS;
    const LAYOUT: u64 = ::kiln_object::fingerprint::combine(
        ::kiln_object::fingerprint::text(
            "Range {start:u64,writable:bool,owner:Option<ProcessId>,}",
        ),
        &[
            <u64 as ::kiln_object::Wire>::LAYOUT,
            <bool as ::kiln_object::Wire>::LAYOUT,
            <Option<ProcessId> as ::kiln_object::Wire>::LAYOUT,
        ],
    );
    #[inline(always)]
    fn encode(&self, words: &mut [u64]) {
        let Self { start: field_0, writable: field_1, owner: field_2 } = self;
        if let Some(words) = words.get_mut(0usize..) {
            ::kiln_object::Wire::encode(field_0, words);
        }
        if let Some(words) = words
            .get_mut(0usize + <u64 as ::kiln_object::Wire>::WORDS..)
        {
            ::kiln_object::Wire::encode(field_1, words);
        }
        if let Some(words) = words
            .get_mut(
                0usize + <u64 as ::kiln_object::Wire>::WORDS
                    + <bool as ::kiln_object::Wire>::WORDS..,
            )
        {
            ::kiln_object::Wire::encode(field_2, words);
        }
    }
    #[inline(always)]
    fn decode(words: &[u64]) -> ::core::result::Result<Self, ::kiln_object::Error> {
        Ok(Self {
            start: <u64 as ::kiln_object::Wire>::decode(
                words.get(0usize..).ok_or(::kiln_object::Error::BadArgument)?,
            )?,
            writable: <bool as ::kiln_object::Wire>::decode(
                words
                    .get(0usize + <u64 as ::kiln_object::Wire>::WORDS..)
                    .ok_or(::kiln_object::Error::BadArgument)?,
            )?,
            owner: <Option<
                ProcessId,
            > as ::kiln_object::Wire>::decode(
                words
                    .get(
                        0usize + <u64 as ::kiln_object::Wire>::WORDS
                            + <bool as ::kiln_object::Wire>::WORDS..,
                    )
                    .ok_or(::kiln_object::Error::BadArgument)?,
            )?,
        })
    }
}
