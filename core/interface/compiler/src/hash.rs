//! The text by which both ends of a call know that they mean the same interface.
//!
//! It covers everything that decides the encoding as it is written, so white space, argument names
//! and documentation do not change it, and any other change does. What a type's name stands for is
//! added by the compiler of the interface's crate: see `constants`.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};

use crate::model::{Argument, Content, Interface, Travel, handed_interface};

/// Name, method numbers, names, rights, ways, argument and result types.
pub fn text(interface: &Interface) -> String {
    let mut text = interface.name.clone();
    for method in &interface.methods {
        text += &format!("\n{} {} {}", method.number, method.name, method.right);
        for (name, is) in [
            ("idempotent", method.idempotent),
            ("oneway", method.one_way),
        ] {
            if is {
                text += " ";
                text += name;
            }
        }
        for argument in &method.arguments {
            text += " ";
            text += &normalised(&argument.kind);
            match &argument.travel {
                Travel::InOut(_) => text += " in_out",
                Travel::Handed(rights) => {
                    let mut rights: Vec<_> = rights.iter().map(ToString::to_string).collect();
                    rights.sort();
                    text += &format!(" hand({})", rights.join("|"));
                }
                _ => {}
            }
        }
        text += " -> ";
        text += &normalised(&method.result);
    }
    text
}

/// What the names in the text stand for: hashes of types, values of bounds.
pub fn constants(interface: &Interface) -> Vec<TokenStream> {
    let uses = interface.uses.iter();
    let mut constants: Vec<_> = uses
        .map(|kind| quote! { <#kind as ::kiln_object::Plain>::LAYOUT })
        .collect();
    for method in &interface.methods {
        constants.extend(method.arguments.iter().flat_map(of_argument));
        let result = &method.result;
        constants.push(quote! { <#result as ::kiln_object::Wire>::LAYOUT });
    }
    constants
}

fn of_argument(argument: &Argument) -> Vec<TokenStream> {
    let mut constants = Vec::new();
    let kind = &argument.kind;
    match &argument.travel {
        Travel::Value => constants.push(quote! { <#kind as ::kiln_object::Wire>::LAYOUT }),
        Travel::Input(content) | Travel::Output(content) | Travel::InOut(content) => {
            if let Content::Slice(kind) | Content::One(kind) = content {
                constants.push(quote! { <#kind as ::kiln_object::Plain>::LAYOUT });
            }
        }
        Travel::Handed(_) => {
            if let Ok(interface) = handed_interface(kind) {
                constants.push(quote! { <#interface as ::kiln_object::Interface>::TEXT });
            }
        }
        Travel::Caller => {}
    }
    if let Some(bound) = &argument.bound {
        constants.push(quote! { (#bound) as u64 });
    }
    constants
}

/// The tokens with white space only where two words would run together.
pub fn normalised(tokens: &impl ToTokens) -> String {
    let mut out = String::new();
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    for part in tokens.to_token_stream().to_string().split_whitespace() {
        if out.ends_with(is_word) && part.starts_with(is_word) {
            out.push(' ');
        }
        out.push_str(part);
    }
    out
}
