//! `#[derive(Plain)]`: structures that travel as their bytes.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Result};

use super::{layout, refuse_generics, text};

/// The implementation for the structure `input`.
pub fn plain(input: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = syn::parse2(input)?;
    refuse_generics(&input.generics)?;
    let name = &input.ident;
    let Data::Struct(data) = &input.data else {
        return Err(Error::new(
            name.span(),
            "some bytes are no value of it, so nobody could take them unchecked; send a number, or \
             `#[derive(Wire)]` it",
        ));
    };
    let text = format!("{name} {{{}}}", text(&data.fields));
    let layout = layout(
        &text,
        data.fields.iter().map(|field| {
            let kind = &field.ty;
            quote! { <#kind as ::kiln_object::Plain>::LAYOUT }
        }),
    );
    Ok(quote! {
        #[diagnostic::do_not_recommend]
        impl ::kiln_object::Plain for #name {
            const LAYOUT: u64 = #layout;
        }
    })
}
