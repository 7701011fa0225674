//! The stub compiler: turns a decorated trait into its stub and its dispatch.
//!
//! What is sent is decided here once, for both ends: a type that cannot travel is refused with the
//! reason, and the hash that both ends compare covers everything that decides the encoding.
#![forbid(unsafe_code)]

mod derive;
mod describe;
mod dispatch;
mod hash;
mod message;
mod model;
mod near;
mod recorder;
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
/// - `impl Interface for dyn Door`, with the name and the hash of all signatures and types;
/// - `DoorStub<T: Transport>`, which implements `Door` by calls through `T`;
/// - `DoorDispatch<S: Door>`, which implements `Dispatch`: it checks the method number, the right
///   and every argument before `S` is asked;
/// - `impl Door for Object<dyn Door, T>`, which calls the object itself if it is near, else a stub;
/// - `door_methods`, the method numbers by name;
/// - `DoorRecorder` and `DoorCall`, on the host only: a double for tests that notes calls and answers
///   what it was told.
///
/// The hash covers the insides of the types in signatures. Plain types that a method puts into
/// buffers of bytes are named for it: `#[interface(name = "...", uses(TYPE, TYPE))]`.
///
/// # Methods
///
/// | in `#[method(...)]` | meaning |
/// | --- | --- |
/// | a number | what identifies the method for good, below 0xff00 |
/// | `right = RIGHT` | the constant of `Rights` that the caller's reference must carry |
/// | `delegate = ARGUMENT` | the argument, a `ProcessId`, is another process than the caller only with the right `DELEGATE` |
/// | `idempotent` | it may be run twice where once was meant, so it may be tried again |
/// | `oneway` | it is sent, not called: words only, and `Ok(())` says that it was accepted |
///
/// # Arguments
///
/// | type | how it travels |
/// | --- | --- |
/// | a `Wire`: numbers, `bool`, pairs, `Option`, `Rights`, references, `#[derive(Wire)]` | in words, 6 in all |
/// | `&[u8]`, `&str` | among the bytes in; text is checked to be UTF-8 |
/// | `&T` of a `Plain` type | the same, as its bytes |
/// | `&[T]` of a `Plain` type, with `#[bound(N)]` | the same, at most `N` elements |
/// | `&mut [u8]`, `&mut T`, `&mut [T]` with `#[bound(N)]` | it is where the bytes out go; one for each method |
/// | the same with `#[in_out]` | in both directions; buffers and slices need a bound |
/// | `Handed<dyn I>` with `#[hand(RIGHT \| RIGHT)]` | a new reference that the callee owns, with no more than these rights |
/// | `Caller` | not at all: the kernel says it |
///
/// `#[bound(N)]` may stand before bytes and text, too; both ends check it. Of several parts of a
/// message all but the last and those of fixed size take a word for their length.
///
/// # Results
///
/// `Wire` of at most 4 words. With a buffer of bytes, `Result<usize, Error>` is the number of bytes
/// of it that travel (of a slice: elements), `Result<(u64, u64), Error>` has that number first. With
/// any other result none travel, of `#[in_out]` and of `&mut T` all. On `Error::Elsewhere` the bytes
/// of a buffer up to the first NUL travel in every case.
#[proc_macro_attribute]
pub fn interface(
    attribute: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    let item = TokenStream::from(item);
    let expansion = expand(attribute.into(), item.clone()).or_else(|error| {
        // What uses the trait is not wrong for what is wrong in it.
        let error = error.to_compile_error();
        let bare = model::bare(item)?;
        Ok(quote! { #error #bare })
    });
    tokens(expansion)
}

/// Lets a small structure or enumeration travel in words.
///
/// Its fields implement `Wire`, and it derives `Clone`, `Debug` and `PartialEq`. A field that is
/// added, renamed or given another type changes the hash of each interface that uses it.
#[proc_macro_derive(Wire)]
pub fn derive_wire(item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    tokens(derive::wire(item.into()))
}

/// Lets a structure travel as its bytes.
///
/// It is `repr(C)` without padding, its fields implement `Plain`, and it derives `FromBytes`,
/// `IntoBytes`, `Immutable` and `KnownLayout` of `zerocopy`, `Clone`, `Copy`, `Debug` and
/// `PartialEq`.
#[proc_macro_derive(Plain)]
pub fn derive_plain(item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    tokens(derive::plain(item.into()))
}

fn tokens(expansion: syn::Result<TokenStream>) -> proc_macro::TokenStream {
    expansion
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}

fn expand(attribute: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let interface = Interface::parse(attribute, item)?;
    let item = &interface.item;
    let constants = constants(&interface);
    let checks = interface.methods.iter().map(message::checks);
    let stub = stub::stub(&interface);
    let dispatch = dispatch::dispatch(&interface);
    let near = near::near(&interface);
    let numbers = numbers(&interface);
    let recorder = recorder::recorder(&interface);
    Ok(quote! {
        #item
        #constants
        #(#checks)*
        #stub
        #dispatch
        #near
        #numbers
        #recorder
    })
}

/// What is known of the interface without an object.
fn constants(interface: &Interface) -> TokenStream {
    let trait_name = &interface.item.ident;
    let name = &interface.name;
    let text = hash::text(interface);
    let types = hash::constants(interface);
    let description = describe::description(interface);
    let idempotent = interface
        .methods
        .iter()
        .filter(|method| method.idempotent)
        .map(|method| method.number);
    quote! {
        impl ::kiln_object::Interface for dyn #trait_name {
            const NAME: &'static str = #name;
            const TEXT: u64 = ::kiln_object::fingerprint::text(#text);
            const HASH: u64 = ::kiln_object::fingerprint::combine(Self::TEXT, &[#(#types),*]);
            const IDEMPOTENT: &'static [u16] = &[#(#idempotent),*];
            const DESCRIPTION: &'static ::kiln_object::describe::Description = #description;
        }
    }
}

/// The module of method numbers.
fn numbers(interface: &Interface) -> TokenStream {
    let name = &interface.item.ident;
    let visibility = &interface.item.vis;
    let module = format_ident!("{}_methods", snake(&name.to_string()));
    let doc = format!("Method numbers of [`{name}`].");
    let numbers = interface.methods.iter().map(|method| {
        let constant = format_ident!("{}", method.name.unraw().to_string().to_uppercase());
        let number = method.number;
        let doc = format!(
            "[`{name}::{}`](super::{name}::{}).",
            method.name, method.name
        );
        quote! { #[doc = #doc] pub const #constant: u16 = #number; }
    });
    quote! {
        #[doc = #doc]
        #visibility mod #module {
            #(#numbers)*
        }
    }
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
mod expansion_tests;
#[cfg(test)]
mod tests;
