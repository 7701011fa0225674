//! The test double: it keeps the arguments of calls and answers what the test says.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::Ident;
use syn::ext::IdentExt as _;

use crate::message;
use crate::model::{Argument, Content, Interface, Method, Travel};

/// `DoorCall`, `DoorRecorder` and what they implement.
pub fn recorder(interface: &Interface) -> TokenStream {
    let name = &interface.item.ident;
    let visibility = &interface.item.vis;
    let (call, recorder) = (format_ident!("{name}Call"), format_ident!("{name}Recorder"));
    let call_doc = format!("A call of [`{name}`] with what it brought.");
    let doc = format!(
        "Stands in for a [`{name}`] in tests on the host: it notes calls and gives the answers that \
         the test says."
    );
    let variants = interface.methods.iter().map(variant);
    let scripts = interface.methods.iter().map(|method| {
        let (script, result) = (script(method), &method.result);
        quote! { #script: ::kiln_object::recorder::Script<#result> }
    });
    let answers = interface.methods.iter().map(|entry| answer(name, entry));
    let methods = interface
        .methods
        .iter()
        .map(|entry| method(name, &call, entry));
    quote! {
        ::kiln_object::on_host! {
            #[doc = #call_doc]
            #[derive(Clone, Debug, PartialEq)]
            #[allow(dead_code, reason = "a test that needs none of it is fine")]
            #[allow(missing_docs, reason = "the methods' own documentation tells")]
            #visibility enum #call { #(#variants),* }

            #[doc = #doc]
            #[derive(Debug, Default)]
            #[allow(dead_code, reason = "a test that needs none of it is fine")]
            #visibility struct #recorder {
                calls: ::kiln_object::recorder::Calls<#call>,
                fallback: ::kiln_object::recorder::Fallback,
                #(#scripts),*
            }

            #[allow(dead_code, reason = "a test that needs none of it is fine")]
            impl #recorder {
                /// The calls since it was made or was last asked.
                #[must_use]
                pub fn calls(&self) -> ::kiln_object::recorder::Vec<#call> {
                    self.calls.take()
                }

                /// What to answer to calls for which nothing is said; else they panic.
                pub fn otherwise(&self, otherwise: ::kiln_object::recorder::Otherwise) -> &Self {
                    self.fallback.set(otherwise);
                    self
                }

                #(#answers)*
            }

            impl #name for #recorder { #(#methods)* }
        }
    }
}

fn script(method: &Method) -> Ident {
    format_ident!("script_{}", method.name.unraw())
}

/// `make_link` as `MakeLink`.
fn variant_name(method: &Method) -> Ident {
    let mut out = String::new();
    for word in method.name.unraw().to_string().split('_') {
        let mut characters = word.chars();
        out.extend(characters.next().map(|first| first.to_ascii_uppercase()));
        out.push_str(characters.as_str());
    }
    Ident::new(&out, method.name.span())
}

/// The arguments that bring something.
fn kept(method: &Method) -> impl Iterator<Item = &Argument> {
    method
        .arguments
        .iter()
        .filter(|argument| !matches!(argument.travel, Travel::Output(_)))
}

fn variant(method: &Method) -> TokenStream {
    let name = variant_name(method);
    let fields = kept(method).map(|argument| {
        let name = &argument.name;
        let kind = match argument.input() {
            Some(Content::Bytes | Content::Text) => quote! { ::kiln_object::recorder::Vec<u8> },
            Some(Content::Slice(kind)) => quote! { ::kiln_object::recorder::Vec<#kind> },
            Some(Content::One(kind)) => quote! { #kind },
            None => {
                let kind = &argument.kind;
                quote! { #kind }
            }
        };
        quote! { #name: #kind }
    });
    let fields: Vec<_> = fields.collect();
    if fields.is_empty() {
        return quote! { #name };
    }
    quote! { #name { #(#fields),* } }
}

/// How the test says what to answer.
fn answer(interface: &Ident, method: &Method) -> TokenStream {
    let (script, result) = (script(method), &method.result);
    let name = format_ident!("answer_{}", method.name.unraw());
    let doc = format!(
        "Answers a call of [`{interface}::{}`]; each answer is for one call, in order.",
        method.name
    );
    let (parameter, bytes) = match method.output() {
        None => (quote! {}, quote! { &[] }),
        Some((_, Content::Slice(kind))) => (
            quote! { , filled: &[#kind] },
            quote! { ::kiln_object::plain::slice_bytes(filled) },
        ),
        Some((_, Content::One(kind))) => (
            quote! { , filled: &#kind },
            quote! { ::kiln_object::plain::bytes(filled) },
        ),
        Some(_) => (quote! { , filled: &[u8] }, quote! { filled }),
    };
    quote! {
        #[doc = #doc]
        pub fn #name(
            &self, answer: ::core::result::Result<#result, ::kiln_object::Error> #parameter
        ) -> &Self {
            self.#script.add(answer, #bytes);
            self
        }
    }
}

fn method(interface: &Ident, call: &Ident, method: &Method) -> TokenStream {
    let signature = &method.signature;
    let (variant, script) = (variant_name(method), script(method));
    let title = format!("{interface}::{}", method.name);
    let fields = kept(method).map(|argument| {
        let name = &argument.name;
        let value = match argument.input() {
            Some(Content::Slice(_)) => quote! { ::kiln_object::recorder::Vec::from(&*#name) },
            Some(content @ (Content::Bytes | Content::Text)) => {
                let bytes = message::bytes_of(name, content);
                quote! { ::kiln_object::recorder::Vec::from(&*#bytes) }
            }
            Some(Content::One(_)) => quote! { ::core::clone::Clone::clone(&*#name) },
            None => quote! { #name.clone() },
        };
        quote! { #name: #value }
    });
    let output = match method.output() {
        None => quote! { &mut [] },
        Some((argument, content)) => {
            let name = &argument.name;
            match content {
                Content::Slice(_) => {
                    quote! { ::kiln_object::plain::slice_bytes_mut(#name, usize::MAX) }
                }
                Content::One(_) => quote! { ::kiln_object::plain::bytes_mut(#name) },
                _ => quote! { #name },
            }
        }
    };
    quote! {
        #signature {
            self.calls.note(#call::#variant { #(#fields),* });
            self.#script.next(#title, &self.fallback, #output)
        }
    }
}
