#[diagnostic::do_not_recommend]
impl ::kiln_object::Wire for Change {
    const WORDS: usize = {
        let (widths, mut widest, mut index) = (
            [
                0usize,
                0usize + <u64 as ::kiln_object::Wire>::WORDS,
                0usize + <u64 as ::kiln_object::Wire>::WORDS
                    + <u64 as ::kiln_object::Wire>::WORDS,
            ],
            0,
            0,
        );
        while index < widths.len() {
            if widths[index] > widest {
                widest = widths[index];
            }
            index += 1;
        }
        1 + widest
    };
    const LAYOUT: u64 = ::kiln_object::fingerprint::combine(
        ::kiln_object::fingerprint::text(
            "enum Change None {}Length {:u64,}Times {accessed:u64,modified:u64,}",
        ),
        &[
            0u64,
            1u64,
            <u64 as ::kiln_object::Wire>::LAYOUT,
            2u64,
            <u64 as ::kiln_object::Wire>::LAYOUT,
            <u64 as ::kiln_object::Wire>::LAYOUT,
        ],
    );
    #[inline(always)]
    fn encode(&self, words: &mut [u64]) {
        match self {
            Change::None {} => {
                ::kiln_object::Wire::encode(&0u64, words);
            }
            Change::Length { 0: field_0 } => {
                ::kiln_object::Wire::encode(&1u64, words);
                if let Some(words) = words.get_mut(1usize..) {
                    ::kiln_object::Wire::encode(field_0, words);
                }
            }
            Change::Times { accessed: field_0, modified: field_1 } => {
                ::kiln_object::Wire::encode(&2u64, words);
                if let Some(words) = words.get_mut(1usize..) {
                    ::kiln_object::Wire::encode(field_0, words);
                }
                if let Some(words) = words
                    .get_mut(1usize + <u64 as ::kiln_object::Wire>::WORDS..)
                {
                    ::kiln_object::Wire::encode(field_1, words);
                }
            }
        }
    }
    #[inline(always)]
    fn decode(words: &[u64]) -> ::core::result::Result<Self, ::kiln_object::Error> {
        let tag = <u64 as ::kiln_object::Wire>::decode(words)?;
        if tag == 0u64 {
            return Ok(Change::None {});
        }
        if tag == 1u64 {
            return Ok(Change::Length {
                0: <u64 as ::kiln_object::Wire>::decode(
                    words.get(1usize..).ok_or(::kiln_object::Error::BadArgument)?,
                )?,
            });
        }
        if tag == 2u64 {
            return Ok(Change::Times {
                accessed: <u64 as ::kiln_object::Wire>::decode(
                    words.get(1usize..).ok_or(::kiln_object::Error::BadArgument)?,
                )?,
                modified: <u64 as ::kiln_object::Wire>::decode(
                    words
                        .get(1usize + <u64 as ::kiln_object::Wire>::WORDS..)
                        .ok_or(::kiln_object::Error::BadArgument)?,
                )?,
            });
        }
        Err(::kiln_object::Error::BadArgument)
    }
}
