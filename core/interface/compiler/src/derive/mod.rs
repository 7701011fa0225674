//! Derives: what travels in words, and what travels as bytes.

mod plain;
mod wire;

pub use plain::plain;
pub use wire::wire;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, Fields, Generics, Result};

use crate::hash::normalised;

/// Refuses parameters: a hash is of one layout.
fn refuse_generics(generics: &Generics) -> Result<()> {
    if generics.params.is_empty() {
        return Ok(());
    }
    Err(Error::new_spanned(
        generics,
        "what travels has no parameters: both ends must agree on one encoding",
    ))
}

/// The names and types of fields as they are written, for a hash.
fn text(fields: &Fields) -> String {
    fields
        .iter()
        .map(|field| {
            let name = field.ident.as_ref().map(ToString::to_string);
            format!("{}:{},", name.unwrap_or_default(), normalised(&field.ty))
        })
        .collect()
}

/// A hash of a text and of what the types in it are.
fn layout(text: &str, parts: impl Iterator<Item = TokenStream>) -> TokenStream {
    quote! {
        ::kiln_object::fingerprint::combine(
            ::kiln_object::fingerprint::text(#text), &[#(#parts),*],
        )
    }
}
