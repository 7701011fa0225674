//! The near half: the object's own methods, behind the checks that a far call meets.
//!
//! Whatever the dispatch does before the server's code runs, this does, but for what only bytes from
//! another address space need. Both follow the same trait, so neither end's source knows of it.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::Ident;
use syn::ext::IdentExt as _;

use crate::message;
use crate::model::{Argument, Content, Interface, Method, Returned, Travel};

/// The object behind a pointer, and the interface implemented by what may be near or far.
pub fn near(interface: &Interface) -> TokenStream {
    let name = &interface.item.ident;
    let visibility = &interface.item.vis;
    let stub = format_ident!("{name}Stub");
    let dispatch = format_ident!("{name}Dispatch");
    let near = format_ident!("{name}Near");
    let direct = interface.methods.iter().map(|entry| direct(name, entry));
    let either = interface.methods.iter().map(|entry| either(name, entry));
    quote! {
        #[doc(hidden)]
        #visibility struct #near<S>(::kiln_object::near::Arc<#dispatch<S>>);

        impl<S: #name + Send + Sync + 'static> #near<S> {
            fn put(
                object: ::kiln_object::near::Arc<#dispatch<S>>,
                place: &mut dyn ::core::any::Any,
            ) {
                type Place = Option<
                    ::kiln_object::near::Box<<dyn #name as ::kiln_object::Callable>::Near>,
                >;
                if let Some(place) = place.downcast_mut::<Place>() {
                    *place = Some(::kiln_object::near::Box::new(Self(object)));
                }
            }
        }

        impl<S: #name> #name for #near<S> {
            #(#direct)*
        }

        impl ::kiln_object::Callable for dyn #name {
            type Stub<T: ::kiln_object::Transport> = #stub<T>;
            type Near = dyn #name + Send + Sync;

            #[inline(always)]
            fn stub<T: ::kiln_object::Transport>(
                reference: ::kiln_object::Reference<Self>,
                transport: T,
            ) -> #stub<T> {
                #stub::new(reference, transport)
            }

            #[inline(always)]
            fn called<T: ::kiln_object::Transport>(
                stub: &#stub<T>,
            ) -> ::kiln_object::Reference<Self> {
                stub.reference()
            }

            #[inline(always)]
            fn of<T: ::kiln_object::Binder>(
                object: &::kiln_object::Object<Self, T>,
            ) -> &Self {
                object
            }
        }

        impl<T: ::kiln_object::Binder> #name for ::kiln_object::Object<dyn #name, T> {
            #(#either)*
        }
    }
}

/// A method of the object, reached through its count.
fn direct(interface: &Ident, method: &Method) -> TokenStream {
    let signature = &method.signature;
    let name = &method.name;
    let arguments = method.arguments.iter().map(|argument| &argument.name);
    quote! {
        #[inline]
        #signature {
            #interface::#name(&self.0.0, #(#arguments),*)
        }
    }
}

/// A method of an object that is near or far.
fn either(interface: &Ident, method: &Method) -> TokenStream {
    let signature = &method.signature;
    let name = &method.name;
    let checks = checks(method);
    let call = call(interface, method);
    let arguments = method.arguments.iter().map(|argument| &argument.name);
    // What is far decides for itself whether it is inlined, and must not keep the rest from it.
    quote! {
        #[inline(always)]
        #signature {
            match self.place() {
                ::kiln_object::near::Place::Near(near) => {
                    #checks
                    #call
                }
                ::kiln_object::near::Place::Far(stub) => {
                    #interface::#name(stub, #(#arguments),*)
                }
            }
        }
    }
}

/// What must hold before the server's code runs.
fn checks(method: &Method) -> TokenStream {
    let right = &method.right;
    let delegate = method.delegate.as_ref().map(|owner| {
        quote! { near.delegate(#owner)?; }
    });
    let parts = method.parts();
    let bounds = parts.iter().filter_map(|(argument, _)| {
        let name = &argument.name;
        let bound = argument.bound.as_ref()?;
        Some(quote! { ::kiln_object::marshal::within(#name.len(), #bound)?; })
    });
    let lengths = parts
        .iter()
        .map(|(argument, content)| message::bytes_of(&argument.name, content));
    let fits = (!parts.is_empty()).then(|| {
        quote! { ::kiln_object::near::fits(0usize #(.saturating_add(#lengths.len()))*)?; }
    });
    quote! {
        #(#bounds)*
        #fits
        near.need(::kiln_object::Rights::#right)?;
        #delegate
    }
}

/// The call, with what the kernel would say in place of what the caller says.
fn call(interface: &Ident, method: &Method) -> TokenStream {
    let name = &method.name;
    let room = method
        .output()
        .map(|(argument, content)| room(argument, content));
    let mut kept = Vec::new();
    let mut gifts = Vec::new();
    let arguments: Vec<_> = method
        .arguments
        .iter()
        .map(|argument| {
            let name = &argument.name;
            match &argument.travel {
                Travel::Caller => quote! { near.caller() },
                Travel::Handed(rights) => {
                    let gift = format_ident!("gift_{}", name.unraw(), span = Span::mixed_site());
                    gifts.push(quote! {
                        let #gift = near.give(#name, #(::kiln_object::Rights::#rights)|*)?;
                    });
                    kept.push(quote! { #gift.keep(); });
                    quote! { near.arrived(&#gift) }
                }
                _ => quote! { #name },
            }
        })
        .collect();
    let call = quote! { #interface::#name(near.object(), #(#arguments),*) };
    let stated = match (method.output(), method.returned) {
        (Some(_), Returned::Result) => Some(quote! { answer as u64 }),
        (Some(_), Returned::First) => Some(quote! { answer.0 }),
        _ => None,
    };
    let check = stated.map(|stated| {
        quote! {
            if #stated > room as u64 {
                return Err(::kiln_object::Error::BadAnswer);
            }
        }
    });
    let measure = check.as_ref().and(method.output()).map(|(argument, _)| {
        let name = &argument.name;
        quote! { let room = #name.len(); }
    });
    if check.is_none() && kept.is_empty() {
        return quote! { #room #call };
    }
    quote! {
        #room
        #measure
        #(#gifts)*
        let answer = #call?;
        #(#kept)*
        #check
        Ok(answer)
    }
}

/// Of the room for the bytes out, what the method may fill.
fn room(argument: &Argument, content: &Content) -> TokenStream {
    let name = &argument.name;
    if !matches!(argument.travel, Travel::Output(_)) {
        return quote! {};
    }
    match (content, &argument.bound) {
        (Content::Slice(_), Some(bound)) => quote! {
            let bounded = #name.len().min(#bound);
            let #name = #name.get_mut(..bounded).unwrap_or_default();
        },
        (Content::Bytes, bound) => {
            let bounded = bound.as_ref().map(|bound| {
                quote! { let #name = ::kiln_object::marshal::clamp_to(#name, #bound); }
            });
            quote! {
                let #name = ::kiln_object::near::output(#name);
                #bounded
            }
        }
        _ => quote! {},
    }
}
