//! What the compiler refuses, and that the hash follows what is sent.

use quote::quote;

use super::*;

fn refusal(methods: TokenStream) -> String {
    expand(quote!(name = "t"), quote!(trait T { #methods }))
        .expect_err("it must be refused")
        .to_string()
}

fn text_of(methods: TokenStream) -> String {
    hash::text(&Interface::parse(quote!(name = "t"), quote!(trait T { #methods })).expect("valid"))
}

#[test]
fn what_cannot_be_sent_is_refused_with_the_reason() {
    for (argument, reason) in [
        (quote!(&mut str), "UTF-8"),
        (quote!(&'static [u8]), "no lifetime"),
        (quote!(&u64), "an address means nothing"),
        (quote!(*const u8), "an address means nothing"),
        (quote!(&mut u64), "answer it in the result"),
        (quote!(&&File), "an address means nothing"),
        (quote!(&[u32]), "#[bound(64)]"),
        (quote!(&[String]), "heap"),
        (quote!(&[&str]), "only plain values"),
        (quote!([u8; 4]), "by reference"),
        (quote!(Handed<dyn File>), "#[hand(READ | LOOKUP)]"),
        (quote!(Vec<u8>), "heap"),
        (quote!(alloc::string::String), "heap"),
        (quote!(&dyn File), "Handed<dyn ...>"),
        (quote!(impl Copy), "Handed<dyn ...>"),
        (quote!(fn(u8)), "code does not travel"),
    ] {
        let text = refusal(quote! {
            #[method(1, right = READ)]
            fn m(&self, a: #argument) -> Result<(), Error>;
        });
        assert!(text.contains(reason), "{argument}: {text}");
    }
}

#[test]
fn what_is_no_interface_is_refused() {
    for (methods, reason) in [
        (quote!(), "without a method"),
        (
            quote!(
                const A: u8;
            ),
            "methods only",
        ),
        (
            quote!(
                fn m(&self) -> Result<(), Error>;
            ),
            "number and right",
        ),
        (
            quote!(
                #[method(1)]
                fn m(&self) -> Result<(), Error>;
            ),
            "which right",
        ),
        (
            quote!(
                #[method(1, right = READ)]
                fn m(&self) -> u64;
            ),
            "Result<T, Error>",
        ),
        (
            quote!(
                #[method(1, right = READ)]
                fn m(&self);
            ),
            "Result<T, Error>",
        ),
        (
            quote!(
                #[method(1, right = READ)]
                fn m(&mut self) -> Result<(), Error>;
            ),
            "`&self`",
        ),
        (
            quote!(
                #[method(1, right = READ)]
                fn m<X>(&self) -> Result<(), Error>;
            ),
            "parameters",
        ),
        (
            quote!(
                #[method(1, right = READ)]
                async fn m(&self) -> Result<(), Error>;
            ),
            "synchronous",
        ),
        (
            quote!(
                #[method(0xff00, right = READ)]
                fn m(&self) -> Result<(), Error>;
            ),
            "every object",
        ),
        (
            quote!(
                #[method(1, right = READ)]
                fn m(&self, a: &mut [u8], b: &mut [u8]) -> Result<(), Error>;
            ),
            "not of two",
        ),
        (
            quote!(
                #[method(1, right = READ, delegate = b)]
                fn m(&self, a: ProcessId) -> Result<(), Error>;
            ),
            "ProcessId",
        ),
        (
            quote!(
                #[method(1, right = READ)]
                fn m(&self) -> Result<&[u8], Error>;
            ),
            "in an argument",
        ),
        (
            quote! {
                #[method(1, right = READ)] fn m(&self) -> Result<(), Error>;
                #[method(1, right = READ)] fn n(&self) -> Result<(), Error>;
            },
            "`m` has the method number 1",
        ),
    ] {
        let shown = methods.to_string();
        let text = refusal(methods);
        assert!(text.contains(reason), "{shown}: {text}");
    }
}

#[test]
fn the_text_follows_what_is_sent_and_nothing_else() {
    let base = text_of(quote! {
        #[method(1, right = READ)] fn m(&self, a: u32, b: &[u8]) -> Result<u64, Error>;
    });
    let same = text_of(quote! {
        /// Documented.
        #[method(1, right = READ)] fn m(&self, x: u32, y: & [ u8 ]) -> Result<u64, kiln_object::Error>;
    });
    assert_eq!(base, same);
    for other in [
        quote!(
            #[method(2, right = READ)]
            fn m(&self, a: u32, b: &[u8]) -> Result<u64, Error>;
        ),
        quote!(
            #[method(1, right = WRITE)]
            fn m(&self, a: u32, b: &[u8]) -> Result<u64, Error>;
        ),
        quote!(
            #[method(1, right = READ)]
            fn n(&self, a: u32, b: &[u8]) -> Result<u64, Error>;
        ),
        quote!(
            #[method(1, right = READ)]
            fn m(&self, a: u64, b: &[u8]) -> Result<u64, Error>;
        ),
        quote!(
            #[method(1, right = READ)]
            fn m(&self, a: u32, b: &mut [u8]) -> Result<u64, Error>;
        ),
        quote!(
            #[method(1, right = READ)]
            fn m(&self, a: u32, b: &[u8]) -> Result<u32, Error>;
        ),
    ] {
        assert_ne!(base, text_of(other));
    }
}

#[test]
fn names_become_snake_case() {
    assert_eq!(snake("FileTree"), "file_tree");
    assert_eq!(snake("Log"), "log");
}
