//! The freestanding parts that `kiln` carries: objects that `build.rs` compiled.

use kiln_linker::Input;

use super::ComposeError;

/// One part: a kernel, a server or a personality, not yet linked.
pub struct Part {
    name: &'static str,
    objects: &'static [PartObject],
}

/// One object of a part.
pub struct PartObject {
    name: &'static str,
    bytes: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/parts.rs"));

/// The objects of the part called `name`.
///
/// # Errors
/// It is not there.
pub fn part(name: &str) -> Result<Vec<Input<'static>>, ComposeError> {
    let part = PARTS.iter().find(|part| part.name == name);
    let part = part.ok_or_else(|| ComposeError::NoPart(name.to_owned()))?;
    let input = |object: &PartObject| Input {
        name: object.name,
        bytes: object.bytes,
    };
    Ok(part.objects.iter().map(input).collect())
}
