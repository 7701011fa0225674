//! The callee's half: a wrapper that checks everything before the server's code runs.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::Ident;

use crate::message;
use crate::model::{Argument, Content, Interface, Method, Returned, Travel};

/// The wrapper's type and its implementation of `Dispatch`.
pub fn dispatch(interface: &Interface) -> TokenStream {
    let name = &interface.item.ident;
    let visibility = &interface.item.vis;
    let dispatch = format_ident!("{name}Dispatch");
    let near = format_ident!("{name}Near");
    let doc = format!("Answers calls to the [`{name}`] that it wraps.");
    let arm = |entry: &Method| {
        let number = entry.number;
        let answer = answer(&entry.name);
        quote! { #number => #answer(&self.0, call), }
    };
    let arms = interface.methods.iter().map(arm);
    let mut one_way = interface.methods.iter().filter(|entry| entry.one_way);
    // Without such methods the trait's own refuses all.
    let deliver = one_way.clone().next().is_some().then(|| {
        let arms = one_way.by_ref().map(arm);
        quote! {
            fn deliver(&self, call: &mut ::kiln_object::Incoming<'_>) -> ::kiln_object::Answer {
                match call.method {
                    #(#arms)*
                    _ => call.refuse(::kiln_object::Error::BadMethod),
                }
            }
        }
    });
    let methods = interface
        .methods
        .iter()
        .enumerate()
        .map(|(place, entry)| method(name, place, entry));
    let numbers = interface.methods.iter().map(|entry| entry.number);
    let count = interface.methods.len();
    quote! {
        #[doc = #doc]
        #[derive(Clone, Copy, Debug)]
        #visibility struct #dispatch<S>(pub S);

        const _: () = {
        static COUNTS: ::kiln_object::count::Counts<#count> = ::kiln_object::count::Counts::new();

        #(#methods)*

        impl<S: #name + Send + Sync + 'static> ::kiln_object::Dispatch for #dispatch<S> {
            #[inline]
            fn interface_hash(&self) -> u64 {
                <dyn #name as ::kiln_object::Interface>::HASH
            }

            #[inline]
            fn dispatch(&self, call: &mut ::kiln_object::Incoming<'_>) -> ::kiln_object::Answer {
                match call.method {
                    #(#arms)*
                    _ => call.refuse(::kiln_object::Error::BadMethod),
                }
            }

            #deliver

            fn near(
                self: ::kiln_object::near::Arc<Self>,
                place: &mut dyn ::core::any::Any,
            ) {
                #near::put(self, place);
            }

            fn counts(&self, output: &mut [u8]) -> usize {
                COUNTS.write(&[#(#numbers),*], output)
            }
        }
        };
    }
}

/// The function that answers a method.
fn answer(method: &Ident) -> Ident {
    use syn::ext::IdentExt as _;
    format_ident!("answer_{}", method.unraw())
}

/// Each method's half is a function of its own, so that a call saves no registers for the sake of others.
fn method(interface: &Ident, place: usize, method: &Method) -> TokenStream {
    let name = &method.name;
    let function = answer(name);
    let right = &method.right;
    let result = &method.result;
    let words = words(method);
    let delegate = method.delegate.as_ref().map(|owner| {
        let owner = local(owner);
        quote! {
            if #owner != call.caller.0
                && !call.rights.contains(::kiln_object::Rights::DELEGATE)
            {
                return Err(::kiln_object::Error::Denied.into());
            }
        }
    });
    let bytes = match (method.parts().is_empty(), method.output()) {
        (true, None) => quote! { call.expect_no_input()?; },
        (false, None) => quote! { let (input, _) = call.take_bytes(); },
        (_, Some(_)) => quote! { let (input, output) = call.take_bytes(); },
    };
    let split = split(method);
    let prepare = prepare(method);
    let arguments = method
        .arguments
        .iter()
        .map(|argument| match argument.travel {
            Travel::Caller => quote! { call.caller },
            Travel::Output(Content::Bytes) if argument.bound.is_none() => {
                quote! { &mut *output }
            }
            _ => {
                let local = local(&argument.name);
                quote! { #local }
            }
        });
    let failure = match method.output() {
        Some((argument, Content::Bytes)) if matches!(argument.travel, Travel::Output(_)) => {
            quote! { ::kiln_object::marshal::failure(error, output) }
        }
        _ => quote! { error.into() },
    };
    let count = count(method);
    quote! {
        #[inline(never)]
        fn #function<S: #interface>(
            object: &S,
            call: &mut ::kiln_object::Incoming<'_>,
        ) -> ::kiln_object::Answer {
            COUNTS.answer(call, #place, |call| {
                if !call.rights.contains(::kiln_object::Rights::#right) {
                    return Err(::kiln_object::Error::Denied.into());
                }
                #words
                #delegate
                #bytes
                #split
                #prepare
                ::kiln_object::marshal::clear(&mut call.words);
                match #interface::#name(object, #(#arguments),*) {
                    Ok(answer) => {
                        let count = #count;
                        <#result as ::kiln_object::Wire>::encode(&answer, &mut call.words);
                        Ok(count)
                    }
                    Err(error) => Err(#failure),
                }
            })
        }
    }
}

/// Decodes the values.
fn words(method: &Method) -> TokenStream {
    let (offsets, _) = message::layout(method);
    let decode = method.words().zip(&offsets).map(|(argument, offset)| {
        let local = local(&argument.name);
        let kind = &argument.kind;
        match argument.travel {
            Travel::Handed(_) => quote! {
                let #local: #kind = ::kiln_object::Handed::arrived(
                    ::kiln_object::Wire::decode(&call.words[#offset..])?,
                    call.caller,
                );
            },
            _ => quote! {
                let #local = <#kind as ::kiln_object::Wire>::decode(&call.words[#offset..])?;
            },
        }
    });
    quote! { #(#decode)* }
}

/// Takes the bytes in apart and checks each part.
fn split(method: &Method) -> TokenStream {
    let (_, lengths_at) = message::layout(method);
    let parts = method.parts();
    let Some((last, front)) = parts.split_last() else {
        return if method.output().is_some() {
            quote! { ::kiln_object::marshal::expect_none(input)?; }
        } else {
            quote! {}
        };
    };
    let take = if method.is_aligned() {
        quote! { ::kiln_object::marshal::split_aligned }
    } else {
        quote! { ::kiln_object::marshal::split }
    };
    let mut index = 0usize;
    let takes = front.iter().map(|(argument, content)| {
        let local = local(&argument.name);
        let length = if let Content::One(kind) = content {
            quote! { size_of::<#kind>() as u64 }
        } else {
            let length = quote! { call.words[#lengths_at + #index] };
            index += 1;
            length
        };
        let check = check(argument, content);
        quote! {
            let (#local, rest) = #take(rest, #length)?;
            #check
        }
    });
    let local = local(&last.0.name);
    let check = check(last.0, last.1);
    quote! {
        let rest = input;
        #(#takes)*
        let #local = rest;
        #check
    }
}

/// Makes of a part's bytes what the method takes.
fn check(argument: &Argument, content: &Content) -> TokenStream {
    let local = local(&argument.name);
    let view = match content {
        Content::Bytes => quote! {},
        Content::Text => {
            quote! { let #local = ::kiln_object::marshal::text(#local)?; }
        }
        Content::Slice(kind) => quote! {
            let #local: &[#kind] = ::kiln_object::plain::slice(#local)?;
        },
        Content::One(kind) => quote! {
            let #local: &#kind = ::kiln_object::plain::one(#local)?;
        },
    };
    let within = argument.bound.as_ref().map(|bound| {
        quote! { ::kiln_object::marshal::within(#local.len(), #bound)?; }
    });
    quote! { #view #within }
}

/// Makes the room for the bytes out what the method takes.
fn prepare(method: &Method) -> TokenStream {
    let Some((argument, content)) = method.output() else {
        return quote! {};
    };
    let local = local(&argument.name);
    let output = quote! { &mut *output };
    if matches!(argument.travel, Travel::InOut(_)) {
        let bytes = match content {
            Content::Slice(_) => quote! { ::kiln_object::plain::slice_bytes(#local) },
            Content::One(_) => quote! { ::kiln_object::plain::bytes(#local) },
            _ => quote! { #local },
        };
        let filled = quote! { ::kiln_object::marshal::filled(#output, #bytes)? };
        return match content {
            Content::Slice(kind) => quote! {
                let #local = ::kiln_object::plain::slice_out::<#kind>(#filled, usize::MAX)?;
            },
            Content::One(kind) => quote! {
                let #local = ::kiln_object::plain::one_in_out::<#kind>(#filled)?;
            },
            _ => quote! { let #local = #filled; },
        };
    }
    match (content, &argument.bound) {
        (Content::One(kind), _) => quote! {
            let #local = ::kiln_object::plain::one_out::<#kind>(#output)?;
        },
        (Content::Slice(kind), Some(bound)) => quote! {
            let #local = ::kiln_object::plain::slice_out::<#kind>(#output, #bound)?;
        },
        (_, Some(bound)) => quote! {
            ::kiln_object::marshal::prepare(output);
            let #local = ::kiln_object::marshal::clamp_to(#output, #bound);
        },
        (_, None) => quote! { ::kiln_object::marshal::prepare(output); },
    }
}

/// How many bytes of the room travel, if the method did not fail.
fn count(method: &Method) -> TokenStream {
    let stated = match method.returned {
        Returned::Nothing => return quote! { 0usize },
        Returned::Everything => {
            return match method.output() {
                Some((_, Content::One(kind))) => quote! { size_of::<#kind>() },
                _ => quote! { output.len() },
            };
        }
        Returned::Result => quote! { answer as u64 },
        Returned::First => quote! { answer.0 },
    };
    let room = match method.output() {
        Some((argument, Content::Slice(kind))) => {
            let room = bounded(argument);
            return quote! { ::kiln_object::plain::count::<#kind>(#stated, #room)? };
        }
        Some((argument, _)) => bounded(argument),
        None => quote! { output },
    };
    quote! { ::kiln_object::marshal::count(#stated, #room)? }
}

/// The room for the bytes out, no longer than declared.
fn bounded(argument: &Argument) -> TokenStream {
    match (&argument.travel, &argument.bound) {
        (Travel::Output(Content::Bytes), Some(bound)) => {
            quote! { ::kiln_object::marshal::clamp_to(output, #bound) }
        }
        _ => quote! { output },
    }
}

/// The name of an argument in the dispatch, which no name of ours can shadow.
fn local(name: &Ident) -> Ident {
    use syn::ext::IdentExt as _;
    format_ident!("argument_{}", name.unraw())
}
