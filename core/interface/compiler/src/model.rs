//! What a decorated trait says, checked: the only place that knows the attribute's grammar.

use std::collections::HashMap;

use proc_macro2::TokenStream;
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned as _;
use syn::{
    Error, FnArg, GenericArgument, Ident, ItemTrait, LitInt, LitStr, Pat, PathArguments, Result,
    ReturnType, Token, TraitItem, TraitItemFn, Type,
};

use crate::hash::normalised;

/// Methods from here on belong to every object.
const FIRST_UNIVERSAL_METHOD: u16 = 0xff00;

/// A decorated trait.
pub struct Interface {
    /// The interface's stable name.
    pub name: String,
    /// The trait with our attributes taken off.
    pub item: ItemTrait,
    /// Its methods in declaration order.
    pub methods: Vec<Method>,
}

/// One method.
pub struct Method {
    /// Its stable number.
    pub number: u16,
    /// Its name.
    pub name: Ident,
    /// The right that its caller needs.
    pub right: Ident,
    /// The argument that names the process for which it is done, if that is checked.
    pub delegate: Option<Ident>,
    /// Its arguments in order.
    pub arguments: Vec<Argument>,
    /// `T` of its `Result<T, Error>`.
    pub result: Type,
    /// What of the output buffer travels back.
    pub returned: Returned,
    /// The whole signature.
    pub signature: syn::Signature,
}

/// One argument.
pub struct Argument {
    /// Its name.
    pub name: Ident,
    /// Its type as written.
    pub kind: Type,
    /// How it travels.
    pub travel: Travel,
}

/// How an argument travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Travel {
    /// In words.
    Value,
    /// Among the bytes in.
    Input,
    /// It is where the bytes out go.
    Output,
    /// Not at all: the kernel says it.
    Caller,
}

/// How many bytes of the output buffer travel back on success.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Returned {
    /// None.
    Nothing,
    /// As many as the result says.
    Result,
    /// As many as the first of the result's pair says.
    First,
}

impl Interface {
    /// Reads the attribute's arguments and the trait.
    pub fn parse(attribute: TokenStream, item: TokenStream) -> Result<Self> {
        let InterfaceArguments { name } = syn::parse2(attribute)?;
        let mut item: ItemTrait = syn::parse2(item)?;
        refuse_generics(&item.generics, "an interface")?;
        let mut methods = Vec::new();
        for entry in &mut item.items {
            let TraitItem::Fn(function) = entry else {
                return Err(Error::new(
                    entry.span(),
                    "an interface has methods only: nothing else can be called from elsewhere",
                ));
            };
            methods.push(Method::parse(function)?);
        }
        if methods.is_empty() {
            return Err(Error::new(
                item.ident.span(),
                "an interface without a method",
            ));
        }
        let mut numbers = HashMap::new();
        for method in &methods {
            if let Some(other) = numbers.insert(method.number, &method.name) {
                return Err(Error::new(
                    method.name.span(),
                    format!("`{other}` has the method number {} already", method.number),
                ));
            }
        }
        Ok(Self {
            name,
            item,
            methods,
        })
    }
}

impl Method {
    fn parse(function: &mut TraitItemFn) -> Result<Self> {
        let place = function.sig.ident.span();
        let position = function
            .attrs
            .iter()
            .position(|attribute| attribute.path().is_ident("method"))
            .ok_or_else(|| {
                Error::new(
                    place,
                    "a method needs its number and right: #[method(1, right = READ)]",
                )
            })?;
        let MethodArguments {
            number,
            right,
            delegate,
        } = function.attrs.remove(position).parse_args()?;
        if let Some(body) = &function.default {
            return Err(Error::new(
                body.span(),
                "a method of an interface has no body: the stub could not follow it",
            ));
        }
        let signature = &function.sig;
        refuse_generics(&signature.generics, "a method of an interface")?;
        if let Some(token) = &signature.asyncness {
            return Err(Error::new(
                token.span(),
                "a call is synchronous: answer `WouldBlock` instead of waiting",
            ));
        }
        if let Some(token) = &signature.unsafety {
            return Err(Error::new(
                token.span(),
                "a caller from elsewhere cannot be held to a safety contract",
            ));
        }
        let (result, returns) = result_type(&signature.output, place)?;
        let arguments = arguments(signature)?;
        let has_output = arguments
            .iter()
            .any(|argument| argument.travel == Travel::Output);
        let returned = match (has_output, returns.as_str()) {
            (true, "usize") => Returned::Result,
            (true, "(u64,u64)") => Returned::First,
            _ => Returned::Nothing,
        };
        if let Some(name) = &delegate {
            let is_process = arguments.iter().any(|argument| {
                argument.name == *name && normalised(&argument.kind).ends_with("ProcessId")
            });
            if !is_process {
                return Err(Error::new(
                    name.span(),
                    format!("`delegate` names an argument of type `ProcessId`; `{name}` is none"),
                ));
            }
        }
        Ok(Self {
            number,
            name: signature.ident.clone(),
            right,
            delegate,
            arguments,
            result,
            returned,
            signature: signature.clone(),
        })
    }

    /// The arguments that travel as `travel`.
    pub fn travelling(&self, travel: Travel) -> impl Iterator<Item = &Argument> {
        self.arguments
            .iter()
            .filter(move |argument| argument.travel == travel)
    }
}

fn arguments(signature: &syn::Signature) -> Result<Vec<Argument>> {
    let mut inputs = signature.inputs.iter();
    match inputs.next() {
        Some(FnArg::Receiver(receiver))
            if receiver.reference.is_some() && receiver.mutability.is_none() => {}
        other => {
            return Err(Error::new(
                other.map_or(signature.ident.span(), |argument| argument.span()),
                "a method takes `&self`: an object serves many callers at once",
            ));
        }
    }
    let mut arguments: Vec<Argument> = Vec::new();
    for input in inputs {
        let FnArg::Typed(input) = input else {
            return Err(Error::new(input.span(), "`self` comes first"));
        };
        let Pat::Ident(pattern) = &*input.pat else {
            return Err(Error::new(
                input.pat.span(),
                "an argument needs a plain name",
            ));
        };
        let travel = travel(&input.ty)?;
        let once = matches!(travel, Travel::Output | Travel::Caller);
        if once && arguments.iter().any(|argument| argument.travel == travel) {
            return Err(Error::new(
                input.ty.span(),
                match travel {
                    Travel::Output => {
                        "a call carries the bytes of one `&mut [u8]` back, not of two"
                    }
                    _ => "there is one caller",
                },
            ));
        }
        arguments.push(Argument {
            name: pattern.ident.clone(),
            kind: (*input.ty).clone(),
            travel,
        });
    }
    Ok(arguments)
}

fn travel(kind: &Type) -> Result<Travel> {
    let refuse = |reason: &str| {
        let text = normalised(kind);
        Err(Error::new(
            kind.span(),
            format!("`{text}` cannot be sent: {reason}"),
        ))
    };
    match kind {
        Type::Reference(reference) => match (&*reference.elem, reference.mutability) {
            (Type::Slice(slice), mutability) if normalised(&slice.elem) == "u8" => {
                Ok(if mutability.is_some() {
                    Travel::Output
                } else {
                    Travel::Input
                })
            }
            (Type::Slice(_), _) => refuse("only bytes travel in slices; send them as `&[u8]`"),
            (Type::Path(path), _) if path.path.is_ident("str") => {
                refuse("text arrives from anyone and need not be UTF-8; take `&[u8]`")
            }
            (Type::TraitObject(_), _) => {
                refuse("an object of this address space; hand over a `Reference<dyn ...>`")
            }
            _ => refuse("an address means nothing in another address space; send the value"),
        },
        Type::Ptr(_) => refuse("an address means nothing in another address space"),
        Type::BareFn(_) => refuse("code does not travel"),
        Type::ImplTrait(_) | Type::TraitObject(_) => {
            refuse("its layout is not known; hand over a `Reference<dyn ...>`")
        }
        Type::Slice(_) => refuse("a slice has no size; take `&[u8]`"),
        Type::Path(path) => match path.path.segments.last() {
            Some(last) if last.ident == "Caller" => Ok(Travel::Caller),
            Some(last)
                if ["String", "Vec", "Box", "Rc", "Arc"]
                    .iter()
                    .any(|owner| last.ident == owner) =>
            {
                refuse("its contents lie in this address space's heap; send bytes as `&[u8]`")
            }
            _ => Ok(Travel::Value),
        },
        _ => Ok(Travel::Value),
    }
}

fn result_type(output: &ReturnType, place: proc_macro2::Span) -> Result<(Type, String)> {
    const REASON: &str = "a method answers `Result<T, Error>`: any call can fail on its way";
    let ReturnType::Type(_, kind) = output else {
        return Err(Error::new(place, REASON));
    };
    let wrong = || Error::new(kind.span(), REASON);
    let Type::Path(path) = &**kind else {
        return Err(wrong());
    };
    let last = path.path.segments.last().ok_or_else(wrong)?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return Err(wrong());
    };
    let mut types = arguments.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(kind) => Some(kind),
        _ => None,
    });
    let (Some(success), Some(error), None) = (types.next(), types.next(), types.next()) else {
        return Err(wrong());
    };
    if last.ident != "Result" || !normalised(error).ends_with("Error") {
        return Err(wrong());
    }
    if travel(success)? != Travel::Value {
        return Err(Error::new(
            success.span(),
            "bytes travel back in an argument `&mut [u8]`, not in the result",
        ));
    }
    Ok((success.clone(), normalised(success)))
}

fn refuse_generics(generics: &syn::Generics, what: &str) -> Result<()> {
    if generics.params.is_empty() && generics.where_clause.is_none() {
        return Ok(());
    }
    Err(Error::new(
        generics.span(),
        format!("{what} has no parameters: both ends must agree on one encoding"),
    ))
}

struct InterfaceArguments {
    name: String,
}

impl Parse for InterfaceArguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let key: Ident = input.parse()?;
        if key != "name" {
            return Err(Error::new(key.span(), "expected `name = \"...\"`"));
        }
        input.parse::<Token![=]>()?;
        let name: LitStr = input.parse()?;
        input.parse::<Option<Token![,]>>()?;
        Ok(Self { name: name.value() })
    }
}

struct MethodArguments {
    number: u16,
    right: Ident,
    delegate: Option<Ident>,
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
        let (mut right, mut delegate) = (None, None);
        while input.parse::<Option<Token![,]>>()?.is_some() && !input.is_empty() {
            let key: Ident = input.parse()?;
            input.parse::<Token![=]>()?;
            let value: Ident = input.parse()?;
            match key.to_string().as_str() {
                "right" => right = Some(value),
                "delegate" => delegate = Some(value),
                _ => {
                    return Err(Error::new(
                        key.span(),
                        "expected `right = RIGHT` or `delegate = ARGUMENT`",
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
        })
    }
}
