//! The grammar of the attributes; what they mean together is checked by their users.

use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Attribute, Error, Expr, Ident, LitInt, LitStr, Result, Token, Type};

/// Methods from here on belong to every object.
const FIRST_UNIVERSAL_METHOD: u16 = 0xff00;

/// `#[interface(name = "...", uses(TYPE, ...))]`.
pub struct InterfaceArguments {
    /// The stable name.
    pub name: String,
    /// Plain types that the methods' bytes hold without saying so in their signatures.
    pub uses: Vec<Type>,
}

impl Parse for InterfaceArguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        const NAMED: &str = "an interface needs its stable name: #[interface(name = \"...\")]";
        if input.is_empty() {
            return Err(Error::new(input.span(), NAMED));
        }
        let key: Ident = input.parse()?;
        if key != "name" {
            return Err(Error::new(key.span(), NAMED));
        }
        input.parse::<Token![=]>()?;
        let name: LitStr = input.parse()?;
        let mut uses = Vec::new();
        if input.parse::<Option<Token![,]>>()?.is_some() && !input.is_empty() {
            let key: Ident = input.parse()?;
            if key != "uses" {
                return Err(Error::new(key.span(), "expected `uses(TYPE, ...)`"));
            }
            let types;
            syn::parenthesized!(types in input);
            uses.extend(Punctuated::<Type, Token![,]>::parse_terminated(&types)?);
            input.parse::<Option<Token![,]>>()?;
        }
        Ok(Self {
            name: name.value(),
            uses,
        })
    }
}

/// `#[method(NUMBER, right = RIGHT, ...)]`.
pub struct MethodArguments {
    /// The stable number.
    pub number: u16,
    /// The right that a caller needs.
    pub right: Ident,
    /// The argument that is another process only with `DELEGATE`.
    pub delegate: Option<Ident>,
    /// Whether it may be run twice where once was meant.
    pub idempotent: bool,
    /// Where it says that it is sent and not called.
    pub one_way: Option<Ident>,
}

impl Parse for MethodArguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let literal: LitInt = input.parse()?;
        let number: u16 = literal.base10_parse()?;
        if number >= FIRST_UNIVERSAL_METHOD {
            return Err(Error::new(
                literal.span(),
                "method numbers from 0xff00 on mean the same for every object",
            ));
        }
        let (mut right, mut delegate, mut idempotent, mut one_way) = (None, None, false, None);
        while input.parse::<Option<Token![,]>>()?.is_some() && !input.is_empty() {
            let key: Ident = input.parse()?;
            let value = || -> Result<Ident> {
                input.parse::<Token![=]>()?;
                input.parse()
            };
            match key.to_string().as_str() {
                "right" => right = Some(value()?),
                "delegate" => delegate = Some(value()?),
                "idempotent" => idempotent = true,
                "oneway" => one_way = Some(key),
                _ => {
                    return Err(Error::new(
                        key.span(),
                        "expected `right = RIGHT`, `delegate = ARGUMENT`, `idempotent` or `oneway`",
                    ));
                }
            }
        }
        let right = right.ok_or_else(|| {
            Error::new(
                literal.span(),
                "say which right the caller needs: `right = READ`",
            )
        })?;
        Ok(Self {
            number,
            right,
            delegate,
            idempotent,
            one_way,
        })
    }
}

/// What stands before an argument.
#[derive(Default)]
pub struct ArgumentAttributes {
    /// `#[bound(N)]`: most bytes, or elements, that it has.
    pub bound: Option<Expr>,
    /// `#[in_out]`: the buffer's contents travel in as well.
    pub in_out: Option<proc_macro2::Span>,
    /// `#[hand(RIGHT | RIGHT)]`: what the callee may do with the reference.
    pub hand: Option<(proc_macro2::Span, Vec<Ident>)>,
}

impl ArgumentAttributes {
    /// Takes ours off `attributes`.
    pub fn take(attributes: &mut Vec<Attribute>) -> Result<Self> {
        let mut taken = Self::default();
        let mut kept = Vec::new();
        for attribute in attributes.drain(..) {
            let Some(name) = attribute.path().get_ident().cloned() else {
                kept.push(attribute);
                continue;
            };
            match name.to_string().as_str() {
                "bound" => taken.bound = Some(attribute.parse_args()?),
                "in_out" => {
                    attribute.meta.require_path_only()?;
                    taken.in_out = Some(name.span());
                }
                "hand" => {
                    let rights = attribute.parse_args_with(
                        Punctuated::<Ident, Token![|]>::parse_separated_nonempty,
                    )?;
                    taken.hand = Some((name.span(), rights.into_iter().collect()));
                }
                _ => kept.push(attribute),
            }
        }
        *attributes = kept;
        Ok(taken)
    }
}
