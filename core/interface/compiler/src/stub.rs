//! The caller's half: a struct that implements the trait by packing and calling.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::Ident;

use crate::message;
use crate::model::{Content, Interface, Method, Returned, Travel};

/// The stub's type and its implementation of the trait.
pub fn stub(interface: &Interface) -> TokenStream {
    let name = &interface.item.ident;
    let visibility = &interface.item.vis;
    let stub = format_ident!("{name}Stub");
    let doc = format!("Calls the [`{name}`] that a reference names.");
    let methods = interface.methods.iter().map(method);
    quote! {
        #[doc = #doc]
        #[derive(Clone, Copy, Debug)]
        #visibility struct #stub<T: ::kiln_object::Transport> {
            reference: ::kiln_object::Reference<dyn #name>,
            transport: T,
        }

        impl<T: ::kiln_object::Transport> #stub<T> {
            /// A stub for what `reference` names, reached by `transport`.
            #[inline(always)]
            #[must_use]
            pub const fn new(
                reference: ::kiln_object::Reference<dyn #name>,
                transport: T,
            ) -> Self {
                Self { reference, transport }
            }

            /// What is called.
            #[inline(always)]
            #[must_use]
            pub const fn reference(&self) -> ::kiln_object::Reference<dyn #name> {
                self.reference
            }
        }

        impl<T: ::kiln_object::Transport> #name for #stub<T> {
            #(#methods)*
        }
    }
}

/// A name that no argument can have.
fn hidden(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

fn method(method: &Method) -> TokenStream {
    let signature = &method.signature;
    let words = hidden("words");
    let ignored = method
        .arguments
        .iter()
        .filter(|argument| argument.is_caller())
        .map(|argument| &argument.name);
    let bounds = bounds(method);
    let given = give(method);
    let pack = pack(method, &words);
    let send = if method.one_way {
        let number = method.number;
        quote! { ::kiln_object::Transport::send(&self.transport, self.reference.raw(), #number, #words) }
    } else {
        call(method, &words)
    };
    quote! {
        #[inline]
        #signature {
            #(let _ = #ignored;)*
            #bounds
            #given
            #pack
            #send
        }
    }
}

/// Refuses what is longer than declared before anything is sent.
fn bounds(method: &Method) -> TokenStream {
    let checks = method.parts().into_iter().filter_map(|(argument, _)| {
        let name = &argument.name;
        let bound = argument.bound.as_ref()?;
        Some(quote! { ::kiln_object::marshal::within(#name.len(), #bound)?; })
    });
    quote! { #(#checks)* }
}

/// Makes the references that are handed over the callee's.
fn give(method: &Method) -> TokenStream {
    let gifts = method.arguments.iter().filter_map(|argument| {
        let Travel::Handed(rights) = &argument.travel else {
            return None;
        };
        let name = &argument.name;
        let gift = gift(name);
        Some(quote! {
            let #gift = ::kiln_object::hand::Gift::give(
                &self.transport,
                #name.claimed(),
                self.reference.raw().process,
                #(::kiln_object::Rights::#rights)|*,
            )?;
        })
    });
    quote! { #(#gifts)* }
}

fn gift(name: &Ident) -> Ident {
    use syn::ext::IdentExt as _;
    format_ident!("gift_{}", name.unraw(), span = Span::mixed_site())
}

/// Puts the arguments that travel in words, and the lengths, into `words`.
fn pack(method: &Method, words: &Ident) -> TokenStream {
    let (offsets, lengths_at) = message::layout(method);
    let values = method.words().zip(&offsets).map(|(argument, offset)| {
        let name = &argument.name;
        let value = match argument.travel {
            Travel::Handed(_) => {
                let gift = gift(name);
                quote! { #gift.reference() }
            }
            _ => quote! { #name },
        };
        quote! { ::kiln_object::Wire::encode(&#value, &mut #words[#offset..]); }
    });
    let lengths: Vec<_> = message::lengths(method)
        .into_iter()
        .enumerate()
        .map(|(index, (argument, content))| {
            let bytes = message::bytes_of(&argument.name, content);
            quote! { #words[KILN_LENGTHS + #index] = #bytes.len() as u64; }
        })
        .collect();
    let lengths_constant =
        (!lengths.is_empty()).then(|| quote! { const KILN_LENGTHS: usize = #lengths_at; });
    // A method without any word to send needs no mutable array.
    if lengths.is_empty() && method.words().next().is_none() {
        return quote! { let #words = [0u64; ::kiln_object::call::CALL_WORDS]; };
    }
    quote! {
        #lengths_constant
        let mut #words = [0u64; ::kiln_object::call::CALL_WORDS];
        #(#values)*
        #(#lengths)*
    }
}

/// Calls, takes the gifts back if it failed, and reads the answer.
fn call(method: &Method, words: &Ident) -> TokenStream {
    let (reply, answer) = (hidden("reply"), hidden("answer"));
    let result = &method.result;
    let without_bytes = method.parts().is_empty() && method.output().is_none();
    let exchange = if without_bytes {
        let number = method.number;
        quote! {
            ::kiln_object::Transport::call_words(
                &self.transport, self.reference.raw(), #number, #words,
            )
        }
    } else {
        exchange(method, words)
    };
    let reply_words = if without_bytes {
        quote! { #reply }
    } else {
        quote! { #reply.words }
    };
    let kept: Vec<_> = method
        .arguments
        .iter()
        .filter(|argument| matches!(argument.travel, Travel::Handed(_)))
        .map(|argument| gift(&argument.name))
        .collect();
    let check = match (method.returned, method.output()) {
        (Returned::Result, Some((_, Content::Slice(element)))) => quote! {
            ::kiln_object::plain::fits::<#element>(#answer as u64, #reply.output)?;
        },
        (Returned::First, Some((_, Content::Slice(element)))) => quote! {
            ::kiln_object::plain::fits::<#element>(#answer.0, #reply.output)?;
        },
        (Returned::Result, _) => quote! {
            if #answer > #reply.output { return Err(::kiln_object::Error::BadAnswer); }
        },
        (Returned::First, _) => quote! {
            if #answer.0 > #reply.output as u64 { return Err(::kiln_object::Error::BadAnswer); }
        },
        (Returned::Everything, Some((argument, content))) => {
            let bytes = message::bytes_of(&argument.name, content);
            quote! {
                if #reply.output != #bytes.len() {
                    return Err(::kiln_object::Error::BadAnswer);
                }
            }
        }
        _ => quote! {},
    };
    quote! {
        let #reply = #exchange?;
        #(#kept.keep();)*
        let #answer = <#result as ::kiln_object::Wire>::decode(&#reply_words)
            .map_err(|_| ::kiln_object::Error::BadAnswer)?;
        #check
        Ok(#answer)
    }
}

/// The call itself: an expression of type `Result<Reply, Error>`.
fn exchange(method: &Method, words: &Ident) -> TokenStream {
    let number = method.number;
    let (bytes, room) = (hidden("bytes"), hidden("room"));
    let output = match method.output() {
        Some((argument, content)) => {
            output_buffer(&argument.name, content, argument.bound.as_ref())
        }
        None => quote! { &mut [] },
    };
    let call = |bytes: TokenStream| {
        quote! {
            ::kiln_object::Transport::call(
                &self.transport, self.reference.raw(), #number, #words, #bytes, #output,
            )
        }
    };
    let parts = method.parts();
    let sources: Vec<_> = parts
        .iter()
        .map(|(argument, content)| message::bytes_of(&argument.name, content))
        .collect();
    let in_out = method
        .arguments
        .iter()
        .any(|argument| matches!(argument.travel, Travel::InOut(_)));
    if method.is_aligned() || in_out {
        let size = message::room(method);
        let call = call(quote! { #bytes });
        // What is sent is a copy, so that the answer may take the place of what it was made of.
        return quote! {{
            let mut #room = [0u8; #size];
            let #bytes = ::kiln_object::marshal::join_aligned(&[#(#sources),*], &mut #room)?;
            #call
        }};
    }
    match sources.as_slice() {
        [] => call(quote! { &[] }),
        [only] => {
            let call = call(only.clone());
            quote! {{
                if #only.len() > ::kiln_object::call::MESSAGE_BYTES {
                    return Err(::kiln_object::Error::TooLarge);
                }
                #call
            }}
        }
        several => {
            let call = call(quote! { #bytes });
            quote! { ::kiln_object::marshal::with_joined([#(#several),*], |#bytes| #call) }
        }
    }
}

/// The caller's buffer as the bytes that one call can fill.
fn output_buffer(name: &Ident, content: &Content, bound: Option<&syn::Expr>) -> TokenStream {
    match (content, bound) {
        (Content::One(_), _) => quote! { ::kiln_object::plain::bytes_mut(#name) },
        (Content::Slice(_), Some(bound)) => {
            quote! { ::kiln_object::plain::slice_bytes_mut(#name, #bound) }
        }
        (_, Some(bound)) => quote! { ::kiln_object::marshal::clamp_to(#name, #bound) },
        (_, None) => quote! { ::kiln_object::marshal::clamp(#name) },
    }
}
