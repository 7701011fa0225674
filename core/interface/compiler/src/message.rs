//! Where everything lies in a message: what both halves must agree on, written once.
//!
//! The words are the values, then the lengths in bytes of all parts of the message but the last and
//! those of fixed size. The parts follow each other; if one of several must be aligned, each starts
//! at a multiple of 8 and those that must be come first.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::Ident;

use crate::model::{Argument, Content, Method, Travel};

/// The place of each value's words, and where the lengths follow.
pub fn layout(method: &Method) -> (Vec<TokenStream>, TokenStream) {
    let mut offsets = Vec::new();
    let mut next = quote! { 0usize };
    for argument in method.words() {
        offsets.push(next.clone());
        let words = match argument.travel {
            Travel::Handed(_) => {
                quote! { <::kiln_object::RawReference as ::kiln_object::Wire>::WORDS }
            }
            _ => {
                let kind = &argument.kind;
                quote! { <#kind as ::kiln_object::Wire>::WORDS }
            }
        };
        next = quote! { #next + #words };
    }
    (offsets, next)
}

/// The parts whose length takes a word.
pub fn lengths(method: &Method) -> Vec<(&Argument, &Content)> {
    let mut parts = method.parts();
    parts.pop();
    parts.retain(|(_, content)| !matches!(content, Content::One(_)));
    parts
}

/// The bytes of an argument in the caller's hands.
pub fn bytes_of(name: &Ident, content: &Content) -> TokenStream {
    match content {
        Content::Bytes => quote! { #name },
        Content::Text => quote! { #name.as_bytes() },
        Content::Slice(_) => quote! { ::kiln_object::plain::slice_bytes(#name) },
        Content::One(_) => quote! { ::kiln_object::plain::bytes(#name) },
    }
}

/// The most bytes that the parts take together, as a constant.
pub fn room(method: &Method) -> TokenStream {
    let bounds =
        method
            .parts()
            .into_iter()
            .map(|(argument, content)| match (content, &argument.bound) {
                (Content::One(kind), _) => quote! { Some(size_of::<#kind>()) },
                (Content::Slice(kind), Some(bound)) => quote! { Some(#bound * size_of::<#kind>()) },
                (_, Some(bound)) => quote! { Some(#bound) },
                (_, None) => quote! { None },
            });
    quote! { { const KILN_ROOM: usize = ::kiln_object::marshal::room(&[#(#bounds),*]); KILN_ROOM } }
}

/// What only the compiler of the interface's crate can count, as assertions.
pub fn checks(method: &Method) -> TokenStream {
    let (_, words) = layout(method);
    let lengths = lengths(method).len();
    let result = &method.result;
    let too_many = format!(
        "`{}`: the arguments take more words than a call carries; group them or send bytes",
        method.name
    );
    let too_long = format!(
        "`{}`: the result takes more words than a return carries",
        method.name
    );
    let too_large = format!(
        "`{}`: what its bounds allow is longer than the message that a call carries",
        method.name
    );
    let room = room(method);
    let typed = method.arguments.iter().filter_map(|argument| {
        match argument.input().or_else(|| argument.output())? {
            Content::Slice(kind) | Content::One(kind) => {
                let bound = match &argument.bound {
                    Some(bound) => quote! { #bound },
                    None => quote! { 1usize },
                };
                Some(quote_spanned! { method.name.span() =>
                    ::kiln_object::plain::check::<#kind>();
                    assert!(::kiln_object::marshal::at_most(#bound * size_of::<#kind>(), ::kiln_object::call::MESSAGE_BYTES), #too_large);
                })
            }
            Content::Bytes | Content::Text => {
                let bound = argument.bound.as_ref()?;
                Some(quote_spanned! { method.name.span() =>
                    assert!(::kiln_object::marshal::at_most(#bound, ::kiln_object::call::MESSAGE_BYTES), #too_large);
                })
            }
        }
    });
    quote_spanned! { method.name.span() =>
        const _: () = {
            const KILN_LENGTHS: usize = #lengths;
            assert!(::kiln_object::marshal::at_most(#words + KILN_LENGTHS, ::kiln_object::call::CALL_WORDS), #too_many);
            assert!(::kiln_object::marshal::at_most(<#result as ::kiln_object::Wire>::WORDS, ::kiln_object::call::RETURN_WORDS), #too_long);
            #(#typed)*
            assert!(::kiln_object::marshal::at_most(#room, ::kiln_object::call::MESSAGE_BYTES), #too_large);
        };
    }
}
