//! The callee's half: a wrapper that checks everything before the server's code runs.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use crate::model::{Interface, Method, Returned, Travel};
use crate::stub::layout;

/// The wrapper's type and its implementation of `Dispatch`.
pub fn dispatch(interface: &Interface) -> TokenStream {
    let name = &interface.item.ident;
    let visibility = &interface.item.vis;
    let dispatch = format_ident!("{name}Dispatch");
    let doc = format!("Answers calls to the [`{name}`] that it wraps.");
    let arms = interface.methods.iter().map(|entry| {
        let number = entry.number;
        let body = method(name, entry);
        quote! { #number => #body }
    });
    quote! {
        #[doc = #doc]
        #[derive(Clone, Copy, Debug)]
        #visibility struct #dispatch<S>(pub S);

        impl<S: #name + Send + Sync> ::kiln_object::Dispatch for #dispatch<S> {
            #[inline]
            fn interface_hash(&self) -> u64 {
                <dyn #name as ::kiln_object::Interface>::HASH
            }

            #[inline]
            fn dispatch(&self, incoming: ::kiln_object::Incoming<'_>) -> ::kiln_object::Outgoing {
                match incoming.method {
                    #(#arms)*
                    _ => Err(::kiln_object::Error::BadMethod.into()),
                }
            }
        }
    }
}

fn method(interface: &syn::Ident, method: &Method) -> TokenStream {
    let name = &method.name;
    let right = &method.right;
    let result = &method.result;
    let (offsets, lengths_at) = layout(method);
    let decode = method
        .travelling(Travel::Value)
        .zip(&offsets)
        .map(|(argument, offset)| {
            let local = local(&argument.name);
            let kind = &argument.kind;
            quote! {
                let #local = <#kind as ::kiln_object::Wire>::decode(&incoming.words[#offset..])?;
            }
        });
    let delegate = method.delegate.as_ref().map(|owner| {
        let owner = local(owner);
        quote! {
            if #owner != incoming.caller.0
                && !incoming.rights.contains(::kiln_object::Rights::DELEGATE)
            {
                return Err(::kiln_object::Error::Denied.into());
            }
        }
    });
    let inputs: Vec<_> = method.travelling(Travel::Input).collect();
    let split = match inputs.as_slice() {
        [] => quote! {
            if !incoming.input.is_empty() {
                return Err(::kiln_object::Error::BadArgument.into());
            }
        },
        [front @ .., last] => {
            let parts = front.iter().enumerate().map(|(index, argument)| {
                let local = local(&argument.name);
                quote! {
                    let (#local, rest) = ::kiln_object::marshal::split(
                        rest, incoming.words[#lengths_at + #index],
                    )?;
                }
            });
            let last = local(&last.name);
            quote! {
                let rest = incoming.input;
                #(#parts)*
                let #last = rest;
            }
        }
    };
    let has_output = method.travelling(Travel::Output).next().is_some();
    let arguments = method
        .arguments
        .iter()
        .map(|argument| match argument.travel {
            Travel::Value | Travel::Input => {
                let local = local(&argument.name);
                quote! { #local }
            }
            Travel::Output => quote! { &mut *incoming.output },
            Travel::Caller => quote! { incoming.caller },
        });
    let prepare = has_output.then(|| {
        quote! { ::kiln_object::marshal::prepare(incoming.output); }
    });
    let failure = if has_output {
        quote! { ::kiln_object::marshal::failure(error, incoming.output) }
    } else {
        quote! { error.into() }
    };
    let count = match method.returned {
        Returned::Nothing => quote! { 0usize },
        Returned::Result => quote! {
            ::kiln_object::marshal::count(answer as u64, incoming.output)?
        },
        Returned::First => quote! {
            ::kiln_object::marshal::count(answer.0, incoming.output)?
        },
    };
    quote! {{
        if !incoming.rights.contains(::kiln_object::Rights::#right) {
            return Err(::kiln_object::Error::Denied.into());
        }
        #(#decode)*
        #delegate
        #split
        #prepare
        match #interface::#name(&self.0, #(#arguments),*) {
            Ok(answer) => {
                let output = #count;
                let mut words = [0u64; ::kiln_object::call::RETURN_WORDS];
                <#result as ::kiln_object::Wire>::encode(&answer, &mut words);
                Ok(::kiln_object::Reply { words, output })
            }
            Err(error) => Err(#failure),
        }
    }}
}

/// The name of an argument in the dispatch, which no name of ours can shadow.
fn local(name: &syn::Ident) -> syn::Ident {
    use syn::ext::IdentExt as _;
    format_ident!("argument_{}", name.unraw())
}
