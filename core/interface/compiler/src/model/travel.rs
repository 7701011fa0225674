//! How each type travels, and which cannot: every refusal says why and what to do instead.

use syn::{Error, GenericArgument, Ident, PathArguments, Result, Type, TypePath, TypeReference};

use super::attribute::ArgumentAttributes;
use crate::hash::normalised;

/// How an argument travels.
#[derive(Clone)]
pub enum Travel {
    /// In words.
    Value,
    /// Among the bytes in.
    Input(Content),
    /// It is where the bytes out go.
    Output(Content),
    /// Both: the bytes out replace the bytes in.
    InOut(Content),
    /// Not at all: the kernel says it.
    Caller,
    /// In words: a new reference that the callee owns, with these rights.
    Handed(Vec<Ident>),
}

/// What bytes are.
#[derive(Clone)]
pub enum Content {
    /// Bytes.
    Bytes,
    /// UTF-8.
    Text,
    /// Plain values of a type, one after the other.
    Slice(Box<Type>),
    /// One plain value of a type.
    One(Box<Type>),
}

impl Content {
    /// Whether it must lie at an aligned place.
    pub fn is_typed(&self) -> bool {
        matches!(self, Content::Slice(_) | Content::One(_))
    }
}

impl Travel {
    /// How an argument of type `kind` with these attributes travels.
    pub fn of(kind: &Type, attributes: &ArgumentAttributes) -> Result<Self> {
        let travel = match by_type(kind)? {
            Travel::Output(content) if attributes.in_out.is_some() => Travel::InOut(content),
            Travel::Handed(_) => match &attributes.hand {
                Some((_, rights)) => Travel::Handed(rights.clone()),
                None => {
                    return Err(Error::new_spanned(
                        kind,
                        "say what the callee may do with the reference: #[hand(READ | LOOKUP)]",
                    ));
                }
            },
            travel => travel,
        };
        if let Some(place) = attributes.in_out
            && !matches!(travel, Travel::InOut(_))
        {
            return Err(Error::new(
                place,
                "only a buffer `&mut ...` travels in both directions",
            ));
        }
        if let Some((place, _)) = &attributes.hand
            && !matches!(travel, Travel::Handed(_))
        {
            return Err(Error::new(
                *place,
                "only a reference is handed over: `Handed<dyn ...>`",
            ));
        }
        let content = match &travel {
            Travel::Input(content) | Travel::Output(content) | Travel::InOut(content) => content,
            Travel::Value | Travel::Caller | Travel::Handed(_) => {
                &Content::One(Box::new(kind.clone()))
            }
        };
        match (content, &attributes.bound) {
            (Content::One(_), Some(bound)) => Err(Error::new_spanned(
                bound,
                "only bytes, text and slices have a bound: anything else is as long as its type",
            )),
            (Content::Slice(_), None) => Err(Error::new_spanned(
                kind,
                "say how many elements there are at most: #[bound(64)]",
            )),
            (_, None)
                if matches!(travel, Travel::InOut(_)) && !matches!(content, Content::One(_)) =>
            {
                Err(Error::new_spanned(
                    kind,
                    "say how long the buffer is at most: #[bound(256)]",
                ))
            }
            _ => Ok(travel),
        }
    }
}

fn refuse<T>(kind: &Type, reason: &str) -> Result<T> {
    let text = normalised(kind);
    Err(Error::new_spanned(
        kind,
        format!("`{text}` cannot be sent: {reason}"),
    ))
}

const UNKNOWN_LAYOUT: &str = "its layout is not known; hand over a `Handed<dyn ...>`";
const HEAP: &str = "its contents lie in this address space's heap; send bytes as `&[u8]`, text as \
                    `&str`, plain values as `&[T]`";
const ADDRESS: &str = "an address means nothing in another address space";

fn by_type(kind: &Type) -> Result<Travel> {
    match kind {
        Type::Reference(reference) => by_reference(kind, reference),
        Type::Ptr(_) => refuse(kind, ADDRESS),
        Type::BareFn(_) => refuse(kind, "code does not travel"),
        Type::ImplTrait(_) | Type::TraitObject(_) => refuse(kind, UNKNOWN_LAYOUT),
        Type::Slice(_) => refuse(kind, "a slice has no size; take it by reference"),
        Type::Array(_) => refuse(
            kind,
            "an array does not travel in words; take it by reference",
        ),
        Type::Never(_) => refuse(kind, "there is no value of it"),
        Type::Path(path) => match path.path.segments.last() {
            Some(last) if last.ident == "Caller" => Ok(Travel::Caller),
            Some(last) if last.ident == "Handed" => Ok(Travel::Handed(Vec::new())),
            _ if owns_heap(path) => refuse(kind, HEAP),
            _ => Ok(Travel::Value),
        },
        Type::Tuple(_) => Ok(Travel::Value),
        Type::Paren(inner) => by_type(&inner.elem),
        Type::Group(inner) => by_type(&inner.elem),
        _ => refuse(
            kind,
            "the compiler of stubs cannot tell what it is; name a type",
        ),
    }
}

fn by_reference(kind: &Type, reference: &TypeReference) -> Result<Travel> {
    if let Some(lifetime) = &reference.lifetime {
        return Err(Error::new_spanned(
            lifetime,
            "what arrives lives as long as the call and has no lifetime of its own",
        ));
    }
    let travel = |content| {
        if reference.mutability.is_some() {
            Travel::Output(content)
        } else {
            Travel::Input(content)
        }
    };
    match &*reference.elem {
        Type::Slice(slice) if is_path(&slice.elem, "u8") => Ok(travel(Content::Bytes)),
        Type::Slice(slice) => match &*slice.elem {
            Type::Path(path) if owns_heap(path) => refuse(kind, HEAP),
            Type::Path(_) | Type::Array(_) => Ok(travel(Content::Slice(slice.elem.clone()))),
            _ => refuse(kind, "only plain values travel in slices"),
        },
        Type::Path(path) if path.path.is_ident("str") => {
            if reference.mutability.is_some() {
                return refuse(
                    kind,
                    "what is written to it would have to be UTF-8 all the time; take `&mut [u8]`",
                );
            }
            Ok(Travel::Input(Content::Text))
        }
        Type::TraitObject(_) => refuse(
            kind,
            "an object of this address space; hand over a `Handed<dyn ...>`",
        ),
        Type::Path(path) if owns_heap(path) => refuse(kind, HEAP),
        Type::Path(path) if is_number(path) => {
            if reference.mutability.is_some() {
                return refuse(kind, &format!("{ADDRESS}; answer it in the result"));
            }
            refuse(kind, &format!("{ADDRESS}; send the value"))
        }
        Type::Path(_) | Type::Array(_) => Ok(travel(Content::One(reference.elem.clone()))),
        _ => refuse(kind, ADDRESS),
    }
}

fn is_path(kind: &Type, name: &str) -> bool {
    matches!(kind, Type::Path(path) if path.path.is_ident(name))
}

fn owns_heap(path: &TypePath) -> bool {
    const OWNERS: [&str; 8] = [
        "String", "Vec", "Box", "Rc", "Arc", "BTreeMap", "HashMap", "Cow",
    ];
    path.path
        .segments
        .last()
        .is_some_and(|last| OWNERS.iter().any(|owner| last.ident == owner))
}

fn is_number(path: &TypePath) -> bool {
    const NUMBERS: [&str; 12] = [
        "u8", "u16", "u32", "u64", "usize", "i8", "i16", "i32", "i64", "isize", "bool", "char",
    ];
    NUMBERS.iter().any(|number| path.path.is_ident(number))
}

/// `dyn I` of a `Handed<dyn I>`.
pub fn handed_interface(kind: &Type) -> Result<Type> {
    if let Type::Path(path) = kind
        && let Some(last) = path.path.segments.last()
        && let PathArguments::AngleBracketed(arguments) = &last.arguments
        && let Some(GenericArgument::Type(interface)) = arguments.args.first()
    {
        return Ok(interface.clone());
    }
    Err(Error::new_spanned(
        kind,
        "name the interface of what is handed over: `Handed<dyn ...>`",
    ))
}
