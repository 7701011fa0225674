//! What the compiler writes, as a person can read it: see `tests/expansion/`.
//!
//! A change of the expansion shows there, to be looked at. With `EXPANSION=overwrite` the expected
//! texts are written anew.

use std::path::Path;

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::ItemTrait;

use super::{derive, expand};

/// Reads `NAME.rs`, and compares what `compile` makes of it with `NAME.expanded.rs`.
fn compare(name: &str, compile: impl FnOnce(&str) -> syn::Result<TokenStream>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expansion");
    let source = std::fs::read_to_string(folder.join(format!("{name}.rs"))).expect("it is there");
    let expansion = compile(&source).expect("it is right");
    let file = syn::parse2(expansion).expect("it is a file of items");
    let text = prettyplease::unparse(&file);
    let expected = folder.join(format!("{name}.expanded.rs"));
    if std::env::var_os("EXPANSION").is_some_and(|value| value == "overwrite") {
        std::fs::write(&expected, &text).expect("it can be written");
    }
    let before = std::fs::read_to_string(&expected).unwrap_or_default();
    let mut lines = text.lines().zip(before.lines()).enumerate();
    if let Some((index, (now, then))) = lines.find(|(_, (now, then))| now != then) {
        panic!(
            "{}:{}: it was\n{then}\nand is now\n{now}\nIf that is meant: EXPANSION=overwrite",
            expected.display(),
            index + 1
        );
    }
    assert_eq!(text.len(), before.len(), "{}", expected.display());
}

fn interface(source: &str) -> syn::Result<TokenStream> {
    let mut item: ItemTrait = syn::parse_str(source)?;
    let position = item
        .attrs
        .iter()
        .position(|attribute| attribute.path().is_ident("interface"))
        .expect("it is an interface");
    let attribute = item.attrs.remove(position);
    let arguments = attribute
        .meta
        .require_list()
        .expect("it has a name")
        .tokens
        .clone();
    expand(arguments, item.into_token_stream())
}

#[test]
fn words_expand_as_expected() {
    compare("numbers", interface);
}

#[test]
fn bytes_expand_as_expected() {
    compare("bytes", interface);
}

#[test]
fn references_handed_over_expand_as_expected() {
    compare("handing", interface);
}

#[test]
fn derived_encodings_expand_as_expected() {
    let wire = |source: &str| derive::wire(syn::parse_str(source)?);
    compare("wire_structure", wire);
    compare("wire_enumeration", wire);
    compare("plain", |source| derive::plain(syn::parse_str(source)?));
}
