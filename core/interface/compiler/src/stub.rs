//! The caller's half: a struct that implements the trait by packing and calling.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use crate::model::{Interface, Method, Returned, Travel};

/// The stub's type and its implementation of the trait.
pub fn stub(interface: &Interface) -> TokenStream {
    let name = &interface.item.ident;
    let visibility = &interface.item.vis;
    let stub = format_ident!("{name}Stub");
    let doc = format!("Calls the [`{name}`] that a reference names.");
    let methods = interface.methods.iter().map(method);
    let bounds = interface.methods.iter().map(bounds);
    quote! {
        #(#bounds)*

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

/// Constants of where each argument's words lie; used by both halves.
pub fn layout(method: &Method) -> (Vec<TokenStream>, TokenStream) {
    let mut offsets = Vec::new();
    let mut next = quote! { 0usize };
    for argument in method.travelling(Travel::Value) {
        let kind = &argument.kind;
        offsets.push(next.clone());
        next = quote! { #next + <#kind as ::kiln_object::Wire>::WORDS };
    }
    (offsets, next)
}

/// What only the compiler can count, as assertions.
fn bounds(method: &Method) -> TokenStream {
    let (_, words) = layout(method);
    let lengths = method.travelling(Travel::Input).count().saturating_sub(1);
    let result = &method.result;
    let too_many = format!(
        "`{}`: the arguments take more words than a call carries; group them or send bytes",
        method.name
    );
    let too_long = format!(
        "`{}`: the result takes more words than a return carries",
        method.name
    );
    quote! {
        const _: () = {
            const LENGTHS: usize = #lengths;
            assert!(#words + LENGTHS <= ::kiln_object::call::CALL_WORDS, #too_many);
            assert!(
                <#result as ::kiln_object::Wire>::WORDS <= ::kiln_object::call::RETURN_WORDS,
                #too_long
            );
        };
    }
}

fn method(method: &Method) -> TokenStream {
    let signature = &method.signature;
    let number = method.number;
    let result = &method.result;
    let (offsets, lengths_at) = layout(method);
    let values: Vec<_> = method.travelling(Travel::Value).collect();
    let inputs: Vec<_> = method
        .travelling(Travel::Input)
        .map(|argument| &argument.name)
        .collect();
    let split_lengths = inputs.len().saturating_sub(1);
    let encode = values.iter().zip(&offsets).map(|(argument, offset)| {
        let name = &argument.name;
        quote! { ::kiln_object::Wire::encode(&#name, &mut words[#offset..]); }
    });
    let lengths = inputs
        .iter()
        .take(split_lengths)
        .enumerate()
        .map(|(index, name)| {
            quote! { words[LENGTHS + #index] = #name.len() as u64; }
        });
    let ignored = method
        .travelling(Travel::Caller)
        .map(|argument| &argument.name);
    let output = method
        .travelling(Travel::Output)
        .next()
        .map(|argument| &argument.name);
    let output_buffer = match output {
        Some(name) => quote! { ::kiln_object::marshal::clamp(#name) },
        None => quote! { &mut [] },
    };
    let call = |bytes: TokenStream| {
        quote! {
            ::kiln_object::Transport::call(
                &self.transport, self.reference.raw(), #number, words, #bytes, #output_buffer,
            )
        }
    };
    let reply = match inputs.as_slice() {
        [] => call(quote! { &[] }),
        [only] => {
            let call = call(quote! { #only });
            quote! {{
                if #only.len() > ::kiln_object::call::MESSAGE_BYTES {
                    return Err(::kiln_object::Error::TooLarge);
                }
                #call
            }}
        }
        several => {
            let call = call(quote! { bytes });
            quote! { ::kiln_object::marshal::with_joined([#(#several),*], |bytes| #call) }
        }
    };
    let check = match method.returned {
        Returned::Nothing => quote! {},
        Returned::Result => quote! {
            if answer > reply.output { return Err(::kiln_object::Error::BadAnswer); }
        },
        Returned::First => quote! {
            if answer.0 > reply.output as u64 { return Err(::kiln_object::Error::BadAnswer); }
        },
    };
    // A method without any word to send needs no mutable array.
    let words = if values.is_empty() && split_lengths == 0 {
        quote! { let words = [0u64; ::kiln_object::call::CALL_WORDS]; }
    } else {
        quote! {
            let mut words = [0u64; ::kiln_object::call::CALL_WORDS];
            #(#encode)*
            #(#lengths)*
        }
    };
    let lengths_constant =
        (split_lengths > 0).then(|| quote! { const LENGTHS: usize = #lengths_at; });
    quote! {
        #[inline]
        #signature {
            #lengths_constant
            #(let _ = #ignored;)*
            #words
            let reply = #reply?;
            let answer = <#result as ::kiln_object::Wire>::decode(&reply.words)
                .map_err(|_| ::kiln_object::Error::BadAnswer)?;
            #check
            Ok(answer)
        }
    }
}
