//! The stub compiler: turns a decorated trait into its stub and its dispatch.
//!
//! What is sent is decided here once, for both ends: a type that cannot travel is refused with the
//! reason, and the hash that both ends compare covers everything that decides the encoding.
#![forbid(unsafe_code)]

mod dispatch;
mod hash;
mod model;
mod stub;

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::ext::IdentExt as _;

use crate::model::Interface;

/// Makes an interface of a trait.
///
/// `#[interface(name = "...")]` stands on a trait whose methods are
/// `#[method(NUMBER, right = RIGHT)] fn name(&self, arguments...) -> Result<T, Error>`. For a trait
/// `Door` it makes
///
/// - `impl Interface for dyn Door`, with the name and the hash of all signatures;
/// - `DoorStub<T: Transport>`, which implements `Door` by calls through `T`;
/// - `DoorDispatch<S: Door>`, which implements `Dispatch`: it checks the method number, the right
///   and every argument before `S` is asked;
/// - `door_methods`, the method numbers by name.
///
/// Arguments are values that implement `Wire` (6 words in all), byte strings `&[u8]` in, one buffer
/// `&mut [u8]` for bytes out, and `Caller`, which is not sent: the kernel says it. Several byte
/// strings share one message; all but the last take a word for their length.
///
/// Results are `Wire` of at most 4 words. With a buffer, `Result<usize, Error>` is the number of
/// bytes of it that travel, `Result<(u64, u64), Error>` has that number first, and any other result
/// lets none travel. On `Error::Elsewhere` the bytes up to the first NUL travel in every case.
///
/// `#[method(NUMBER, right = RIGHT, delegate = ARGUMENT)]` says that the argument, a `ProcessId`,
/// may be another process than the caller only with the right `DELEGATE`.
#[proc_macro_attribute]
pub fn interface(
    attribute: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    expand(attribute.into(), item.into())
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}

fn expand(attribute: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let interface = Interface::parse(attribute, item)?;
    let item = &interface.item;
    let name = &item.ident;
    let visibility = &item.vis;
    let text = &interface.name;
    let hash = hash::hash(&interface);
    let stub = stub::stub(&interface);
    let dispatch = dispatch::dispatch(&interface);

    let methods_name = format_ident!("{}_methods", snake(&name.to_string()));
    let methods_doc = format!("Method numbers of [`{name}`].");
    let numbers = interface.methods.iter().map(|method| {
        let constant = format_ident!("{}", method.name.unraw().to_string().to_uppercase());
        let number = method.number;
        let doc = format!(
            "[`{name}::{}`](super::{name}::{}).",
            method.name, method.name
        );
        quote! { #[doc = #doc] pub const #constant: u16 = #number; }
    });

    Ok(quote! {
        #item

        impl ::kiln_object::Interface for dyn #name {
            const NAME: &'static str = #text;
            const HASH: u64 = #hash;
        }

        #stub
        #dispatch

        #[doc = #methods_doc]
        #visibility mod #methods_name {
            #(#numbers)*
        }
    })
}

fn snake(name: &str) -> String {
    let mut out = String::new();
    for (index, character) in name.chars().enumerate() {
        if character.is_uppercase() && index > 0 {
            out.push('_');
        }
        out.extend(character.to_lowercase());
    }
    out
}

#[cfg(test)]
mod tests;
