//! The table that tells people and tools what an interface is.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt as _;
use syn::{Attribute, Expr, ExprLit, Lit, Meta};

use crate::hash::normalised;
use crate::model::{Argument, Interface, Method, Travel};

/// The table, an expression.
pub fn description(interface: &Interface) -> TokenStream {
    let name = &interface.name;
    let documentation = documentation(&interface.item.attrs);
    let methods = interface.methods.iter().map(method);
    quote! {
        &::kiln_object::describe::Description {
            name: #name,
            documentation: #documentation,
            hash: Self::HASH,
            methods: &[#(#methods),*],
        }
    }
}

fn method(method: &Method) -> TokenStream {
    let number = method.number;
    let name = method.name.unraw().to_string();
    let documentation = documentation(&method.attributes);
    let right = &method.right;
    let delegate = match &method.delegate {
        Some(argument) => {
            let argument = argument.unraw().to_string();
            quote! { Some(#argument) }
        }
        None => quote! { None },
    };
    let (idempotent, one_way) = (method.idempotent, method.one_way);
    let arguments = method.arguments.iter().map(argument);
    let result = shown(&method.result);
    quote! {
        ::kiln_object::describe::MethodDescription {
            number: #number,
            name: #name,
            documentation: #documentation,
            right: ::kiln_object::Rights::#right,
            delegate: #delegate,
            idempotent: #idempotent,
            one_way: #one_way,
            arguments: &[#(#arguments),*],
            result: #result,
        }
    }
}

fn argument(argument: &Argument) -> TokenStream {
    let name = argument.name.unraw().to_string();
    let kind = shown(&argument.kind);
    let travel = match &argument.travel {
        Travel::Value => quote! { Words },
        Travel::Input(_) => quote! { In },
        Travel::Output(_) => quote! { Out },
        Travel::InOut(_) => quote! { InOut },
        Travel::Caller => quote! { Caller },
        Travel::Handed(rights) => quote! {
            Handed(::kiln_object::Rights::empty() #(.union(::kiln_object::Rights::#rights))*)
        },
    };
    let bound = match &argument.bound {
        Some(bound) => quote! { Some(#bound) },
        None => quote! { None },
    };
    quote! {
        ::kiln_object::describe::ArgumentDescription {
            name: #name,
            kind: #kind,
            travel: ::kiln_object::describe::Travel::#travel,
            bound: #bound,
        }
    }
}

/// A type as people write it.
fn shown(kind: &syn::Type) -> String {
    normalised(kind).replace(',', ", ").replace("mut[", "mut [")
}

/// What `///` says, a line for each.
fn documentation(attributes: &[Attribute]) -> String {
    let lines: Vec<String> = attributes
        .iter()
        .filter_map(|attribute| match &attribute.meta {
            Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
                Expr::Lit(ExprLit {
                    lit: Lit::Str(text),
                    ..
                }) => Some(text.value()),
                _ => None,
            },
            _ => None,
        })
        .collect();
    let trimmed = lines
        .iter()
        .map(|line| line.strip_prefix(' ').unwrap_or(line));
    trimmed.collect::<Vec<_>>().join("\n")
}
