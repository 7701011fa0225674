//! The hash by which both ends of a call know that they mean the same interface.
//!
//! It covers the normalised text of everything that decides the encoding, so white space, argument
//! names and documentation do not change it, and any other change does.

use quote::ToTokens;

use crate::model::Interface;

/// FNV-1a, 64 bits, over name, method numbers, names, rights, argument and result types.
pub fn hash(interface: &Interface) -> u64 {
    let mut text = interface.name.clone();
    for method in &interface.methods {
        text += &format!("\n{} {} {}", method.number, method.name, method.right);
        for argument in &method.arguments {
            text += " ";
            text += &normalised(&argument.kind);
        }
        text += " -> ";
        text += &normalised(&method.result);
    }
    fnv_1a(text.as_bytes())
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

fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::fnv_1a;

    #[test]
    fn fnv_has_the_published_values() {
        assert_eq!(fnv_1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv_1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv_1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
