//! `#[derive(Wire)]`: structures and enumerations that travel in words.
//!
//! A structure is its fields one after the other. An enumeration is a word that tells the variant
//! (its discriminant, or its place among the variants if they have fields) and the fields of that
//! variant; words that tell none do not decode.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DataEnum, DeriveInput, Error, Fields, Ident, Result};

use super::{layout, refuse_generics, text};

/// The implementation for the structure or enumeration `input`.
pub fn wire(input: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = syn::parse2(input)?;
    refuse_generics(&input.generics)?;
    let name = &input.ident;
    let body = match &input.data {
        Data::Struct(data) => structure(name, &data.fields),
        Data::Enum(data) => enumeration(name, data)?,
        Data::Union(_) => {
            return Err(Error::new(
                name.span(),
                "nothing says which field of a union is the one that travels",
            ));
        }
    };
    Ok(quote! {
        #[diagnostic::do_not_recommend]
        impl ::kiln_object::Wire for #name { #body }
    })
}

fn structure(name: &Ident, fields: &Fields) -> TokenStream {
    let layout = layout(&format!("{name} {{{}}}", text(fields)), layouts(fields));
    let words = count(fields);
    let (pattern, encode, decode) = variant(quote! { Self }, fields, quote! { 0usize });
    quote! {
        const WORDS: usize = #words;
        const LAYOUT: u64 = #layout;
        #[inline(always)]
        fn encode(&self, words: &mut [u64]) {
            let #pattern = self;
            #encode
        }
        #[inline(always)]
        fn decode(words: &[u64]) -> ::core::result::Result<Self, ::kiln_object::Error> {
            Ok(#decode)
        }
    }
}

fn enumeration(name: &Ident, data: &DataEnum) -> Result<TokenStream> {
    if data.variants.is_empty() {
        return Err(Error::new(name.span(), "there is no value of it"));
    }
    let with_fields = data.variants.iter().any(|entry| !entry.fields.is_empty());
    let (mut described, mut layouts_of, mut widths) = (String::new(), Vec::new(), Vec::new());
    let (mut encode_arms, mut decode_arms) = (Vec::new(), Vec::new());
    for (index, entry) in data.variants.iter().enumerate() {
        let variant_name = &entry.ident;
        let tag = if with_fields {
            if let Some((_, discriminant)) = &entry.discriminant {
                return Err(Error::new_spanned(
                    discriminant,
                    "variants that have fields are numbered by their order",
                ));
            }
            let index = index as u64;
            quote! { #index }
        } else {
            quote! { (#name::#variant_name as u64) }
        };
        described += &format!("{variant_name} {{{}}}", text(&entry.fields));
        layouts_of.push(tag.clone());
        layouts_of.extend(layouts(&entry.fields));
        widths.push(count(&entry.fields));
        let (pattern, encode, decode) = variant(
            quote! { #name::#variant_name },
            &entry.fields,
            quote! { 1usize },
        );
        encode_arms.push(quote! {
            #pattern => {
                ::kiln_object::Wire::encode(&#tag, words);
                #encode
            }
        });
        decode_arms.push(quote! { if tag == #tag { return Ok(#decode); } });
    }
    let layout = layout(&format!("enum {name} {described}"), layouts_of.into_iter());
    Ok(quote! {
        const WORDS: usize = {
            let (widths, mut widest, mut index) = ([#(#widths),*], 0, 0);
            while index < widths.len() {
                if widths[index] > widest { widest = widths[index]; }
                index += 1;
            }
            1 + widest
        };
        const LAYOUT: u64 = #layout;
        #[inline(always)]
        fn encode(&self, words: &mut [u64]) {
            match self { #(#encode_arms)* }
        }
        #[inline(always)]
        fn decode(words: &[u64]) -> ::core::result::Result<Self, ::kiln_object::Error> {
            let tag = <u64 as ::kiln_object::Wire>::decode(words)?;
            #(#decode_arms)*
            Err(::kiln_object::Error::BadArgument)
        }
    })
}

/// The pattern that takes a variant apart, and how its fields go to words from `start` on and back.
fn variant(
    path: TokenStream,
    fields: &Fields,
    start: TokenStream,
) -> (TokenStream, TokenStream, TokenStream) {
    let (mut names, mut bindings) = (Vec::new(), Vec::new());
    let (mut encode, mut decode) = (Vec::new(), Vec::new());
    let mut next = start;
    for (index, field) in fields.iter().enumerate() {
        let place = syn::Index::from(index);
        names.push(match &field.ident {
            Some(name) => quote! { #name },
            None => quote! { #place },
        });
        let binding = format_ident!("field_{index}");
        let kind = &field.ty;
        encode.push(quote! {
            if let Some(words) = words.get_mut(#next..) {
                ::kiln_object::Wire::encode(#binding, words);
            }
        });
        decode.push(quote! {
            <#kind as ::kiln_object::Wire>::decode(
                words.get(#next..).ok_or(::kiln_object::Error::BadArgument)?,
            )?
        });
        bindings.push(binding);
        next = quote! { #next + <#kind as ::kiln_object::Wire>::WORDS };
    }
    (
        quote! { #path { #(#names: #bindings),* } },
        quote! { #(#encode)* },
        quote! { #path { #(#names: #decode),* } },
    )
}

fn count(fields: &Fields) -> TokenStream {
    let kinds = fields.iter().map(|field| &field.ty);
    quote! { 0usize #(+ <#kinds as ::kiln_object::Wire>::WORDS)* }
}

fn layouts(fields: &Fields) -> impl Iterator<Item = TokenStream> {
    fields.iter().map(|field| {
        let kind = &field.ty;
        quote! { <#kind as ::kiln_object::Wire>::LAYOUT }
    })
}
