//! What a decorated trait says, checked: everything else may rely on it.

mod attribute;
mod travel;

use std::collections::HashMap;

use proc_macro2::TokenStream;
use syn::spanned::Spanned as _;
use syn::{
    Error, Expr, FnArg, GenericArgument, Ident, ItemTrait, Pat, PathArguments, Result, ReturnType,
    TraitItem, TraitItemFn, Type,
};

use crate::hash::normalised;
use attribute::{ArgumentAttributes, InterfaceArguments, MethodArguments};
pub use travel::{Content, Travel, handed_interface};

/// A decorated trait.
pub struct Interface {
    /// The interface's stable name.
    pub name: String,
    /// Plain types that the methods' bytes hold without saying so in their signatures.
    pub uses: Vec<Type>,
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
    /// Whether it may be run twice where once was meant.
    pub idempotent: bool,
    /// Whether it is sent and not called.
    pub one_way: bool,
    /// Its arguments in order.
    pub arguments: Vec<Argument>,
    /// `T` of its `Result<T, Error>`.
    pub result: Type,
    /// What of the output buffer travels back.
    pub returned: Returned,
    /// Its other attributes.
    pub attributes: Vec<syn::Attribute>,
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
    /// Most bytes, or elements, that it has, if that is declared.
    pub bound: Option<Expr>,
}

/// How much of the output buffer travels back on success.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Returned {
    /// None.
    Nothing,
    /// All of it.
    Everything,
    /// As many as the result says.
    Result,
    /// As many as the first of the result's pair says.
    First,
}

impl Interface {
    /// Reads the attribute's arguments and the trait.
    pub fn parse(attribute: TokenStream, item: TokenStream) -> Result<Self> {
        let InterfaceArguments { name, uses } = syn::parse2(attribute)?;
        let mut item: ItemTrait = syn::parse2(item)?;
        refuse_generics(&item.generics, "an interface")?;
        let mut methods = Vec::new();
        for entry in &mut item.items {
            let TraitItem::Fn(function) = entry else {
                return Err(Error::new_spanned(
                    entry,
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
            uses,
            item,
            methods,
        })
    }
}

/// The trait without our attributes, to go on with after it was refused.
pub fn bare(item: TokenStream) -> Result<ItemTrait> {
    let mut item: ItemTrait = syn::parse2(item)?;
    for entry in &mut item.items {
        if let TraitItem::Fn(function) = entry {
            function
                .attrs
                .retain(|attribute| !attribute.path().is_ident("method"));
            for input in &mut function.sig.inputs {
                if let FnArg::Typed(input) = input {
                    input.attrs.clear();
                }
            }
        }
    }
    Ok(item)
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
            idempotent,
            one_way,
        } = function.attrs.remove(position).parse_args()?;
        if let Some(body) = &function.default {
            return Err(Error::new_spanned(
                body,
                "a method of an interface has no body: the stub could not follow it",
            ));
        }
        let arguments = arguments(&mut function.sig)?;
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
        let output = arguments.iter().find_map(|argument| argument.output());
        let in_out = arguments
            .iter()
            .any(|argument| matches!(argument.travel, Travel::InOut(_)));
        let returned = match (output, returns.as_str()) {
            (None, _) => Returned::Nothing,
            (Some(Content::One(_)), _) => Returned::Everything,
            (_, "usize") => Returned::Result,
            (_, "(u64,u64)") => Returned::First,
            _ if in_out => Returned::Everything,
            (Some(Content::Slice(_)), _) => {
                return Err(Error::new_spanned(
                    &result,
                    "a method that fills a slice answers how many elements: `Result<usize, Error>`",
                ));
            }
            _ => Returned::Nothing,
        };
        if let Some(place) = &one_way {
            check_one_way(place, &arguments, &returns)?;
        }
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
            idempotent,
            one_way: one_way.is_some(),
            arguments,
            result,
            returned,
            attributes: function.attrs.clone(),
            signature: function.sig.clone(),
        })
    }

    /// The arguments that travel in words, in order.
    pub fn words(&self) -> impl Iterator<Item = &Argument> {
        self.arguments
            .iter()
            .filter(|argument| matches!(argument.travel, Travel::Value | Travel::Handed(_)))
    }

    /// The arguments that travel among the bytes in, in the order of the message: what must be
    /// aligned comes first.
    pub fn parts(&self) -> Vec<(&Argument, &Content)> {
        let mut parts: Vec<_> = self
            .arguments
            .iter()
            .filter_map(|argument| Some((argument, argument.input()?)))
            .collect();
        parts.sort_by_key(|(_, content)| !content.is_typed());
        parts
    }

    /// Whether each part of the message starts at an aligned place.
    pub fn is_aligned(&self) -> bool {
        let parts = self.parts();
        let needs = |(argument, content): &(&Argument, &Content)| {
            content.is_typed() || matches!(argument.travel, Travel::InOut(_))
        };
        parts.len() > 1 && parts.iter().any(needs)
    }

    /// The argument where the bytes out go.
    pub fn output(&self) -> Option<(&Argument, &Content)> {
        self.arguments
            .iter()
            .find_map(|argument| Some((argument, argument.output()?)))
    }
}

impl Argument {
    /// Whether the kernel says it.
    pub fn is_caller(&self) -> bool {
        matches!(self.travel, Travel::Caller)
    }

    /// What of it is among the bytes in.
    pub fn input(&self) -> Option<&Content> {
        match &self.travel {
            Travel::Input(content) | Travel::InOut(content) => Some(content),
            _ => None,
        }
    }

    /// What of it the bytes out are.
    pub fn output(&self) -> Option<&Content> {
        match &self.travel {
            Travel::Output(content) | Travel::InOut(content) => Some(content),
            _ => None,
        }
    }
}

/// A message has words only, and nobody waits for an answer.
fn check_one_way(place: &Ident, arguments: &[Argument], returns: &str) -> Result<()> {
    if returns != "()" {
        return Err(Error::new(
            place.span(),
            "nobody waits for the answer of a one-way method: it is `Result<(), Error>`, which \
             says whether the message was accepted",
        ));
    }
    for argument in arguments {
        let reason = match argument.travel {
            Travel::Value | Travel::Caller => continue,
            Travel::Handed(_) => {
                "a reference is handed over by a call, whose answer says whether it arrived"
            }
            Travel::Input(_) => "a one-way message carries words only; make it a call",
            Travel::Output(_) | Travel::InOut(_) => {
                "nothing comes back from a one-way method; make it a call"
            }
        };
        return Err(Error::new_spanned(&argument.kind, reason));
    }
    Ok(())
}

fn arguments(signature: &mut syn::Signature) -> Result<Vec<Argument>> {
    let place = signature.ident.span();
    let mut inputs = signature.inputs.iter_mut();
    match inputs.next() {
        Some(FnArg::Receiver(receiver))
            if receiver.reference.is_some() && receiver.mutability.is_none() => {}
        other => {
            return Err(Error::new(
                other.map_or(place, |argument| argument.span()),
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
            return Err(Error::new_spanned(
                &input.pat,
                "an argument needs a plain name",
            ));
        };
        let attributes = ArgumentAttributes::take(&mut input.attrs)?;
        let argument = Argument {
            name: pattern.ident.clone(),
            kind: (*input.ty).clone(),
            travel: Travel::of(&input.ty, &attributes)?,
            bound: attributes.bound,
        };
        for other in &arguments {
            let reason = if argument.output().is_some() && other.output().is_some() {
                "a call carries the bytes of one `&mut` buffer back, not of two"
            } else if argument.is_caller() && other.is_caller() {
                "there is one caller"
            } else {
                continue;
            };
            return Err(Error::new_spanned(&input.ty, reason));
        }
        if matches!(argument.travel, Travel::Handed(_)) {
            handed_interface(&argument.kind)?;
        }
        arguments.push(argument);
    }
    Ok(arguments)
}

fn result_type(output: &ReturnType, place: proc_macro2::Span) -> Result<(Type, String)> {
    const REASON: &str = "a method answers `Result<T, Error>`: any call can fail on its way";
    let ReturnType::Type(_, kind) = output else {
        return Err(Error::new(place, REASON));
    };
    let wrong = || Error::new_spanned(kind, REASON);
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
    if normalised(success).contains("Handed<") {
        return Err(Error::new_spanned(
            success,
            "what a method answers is the caller's already; answer a `Reference<dyn ...>`",
        ));
    }
    match Travel::of(success, &ArgumentAttributes::default())? {
        Travel::Value => {}
        Travel::Caller => {
            return Err(Error::new_spanned(
                success,
                "a caller is known to the callee only; answer a `ProcessId`",
            ));
        }
        _ => {
            return Err(Error::new_spanned(
                success,
                "bytes travel back in an argument `&mut [u8]`, not in the result",
            ));
        }
    }
    Ok((success.clone(), normalised(success)))
}

fn refuse_generics(generics: &syn::Generics, what: &str) -> Result<()> {
    if generics.params.is_empty() && generics.where_clause.is_none() {
        return Ok(());
    }
    Err(Error::new_spanned(
        generics,
        format!("{what} has no parameters: both ends must agree on one encoding"),
    ))
}
