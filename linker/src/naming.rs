//! Turns the compiler's names into the names that people wrote.

/// The name as written in the source, without the hash that the compiler adds.
pub(crate) fn demangled(raw: &str) -> String {
    match rustc_demangle::try_demangle(raw) {
        Ok(name) => format!("{name:#}"),
        Err(_) => raw.to_owned(),
    }
}

/// `bytes` as text, with what is not UTF-8 replaced.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The symbol after which a compiler named a section, if it did.
pub(crate) fn symbol_of_section(section: &str) -> Option<&str> {
    const PREFIXES: [&str; 9] = [
        ".text.unlikely.",
        ".text.hot.",
        ".text.startup.",
        ".text.exit.",
        ".text.",
        ".data.rel.ro.",
        ".rodata.",
        ".data.",
        ".bss.",
    ];
    let rest = PREFIXES
        .iter()
        .find_map(|prefix| section.strip_prefix(prefix))?;
    // Compiler-made names of constants start with a dot and name nothing.
    (!rest.is_empty() && !rest.starts_with('.') && !rest.starts_with("cst")).then_some(rest)
}

/// The crate that a demangled path belongs to: its first identifier, or `None` if the name is not
/// a path and so no Rust name.
pub(crate) fn crate_of_path(path: &str) -> Option<&str> {
    let mut start = path;
    loop {
        start = start.trim_start_matches(|character: char| {
            !(character.is_ascii_alphabetic() || character == '_')
        });
        let word = ["dyn ", "mut ", "const ", "impl "]
            .iter()
            .find_map(|w| start.strip_prefix(w));
        match word {
            Some(rest) => start = rest,
            None => break,
        }
    }
    let end = start
        .find(|character: char| !(character.is_ascii_alphanumeric() || character == '_'))
        .unwrap_or(start.len());
    let (name, rest) = start.split_at_checked(end)?;
    (rest.starts_with("::") && !name.is_empty()).then_some(name)
}

/// The crate that an object was compiled from, judged by its file name:
/// `name-hash.name.hash-cgu.0.rcgu.o` for Rust, the file's stem otherwise.
pub(crate) fn crate_of_object(object: &str) -> &str {
    let file = match object.split_once('(') {
        Some((_, member)) => member.trim_end_matches(')'),
        None => object,
    };
    let file = file.rsplit('/').next().unwrap_or(file);
    let stem = file.split('.').next().unwrap_or(file);
    match stem.rsplit_once('-') {
        Some((name, hash)) if hash.len() >= 8 && hash.chars().all(|c| c.is_ascii_hexdigit()) => {
            name
        }
        _ => stem,
    }
}

/// The list that a section is a member of: `NAME` for a section called `NAME` or `NAME.MEMBER`.
pub(crate) fn list_of_section(section: &str) -> Option<&str> {
    let list = section.split('.').next()?;
    is_identifier(list).then_some(list)
}

/// Whether `name` is a C identifier, so that `__start_` and `__stop_` symbols exist for it.
pub(crate) fn is_identifier(name: &str) -> bool {
    let mut characters = name.chars();
    characters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|character| character.is_ascii_alphanumeric() || character == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_are_found_in_paths() {
        assert_eq!(crate_of_path("core::fmt::write"), Some("core"));
        assert_eq!(
            crate_of_path("<alloc::string::String as core::fmt::Debug>::fmt"),
            Some("alloc")
        );
        assert_eq!(
            crate_of_path("<&mut dyn talc::Source as a::B>::c"),
            Some("talc")
        );
        assert_eq!(crate_of_path("memcpy"), None);
    }

    #[test]
    fn crates_are_found_in_object_names() {
        let rust = "libk.a(kiln_kernel-0123456789abcdef.kiln_kernel.1-cgu.0.rcgu.o)";
        assert_eq!(crate_of_object(rust), "kiln_kernel");
        assert_eq!(crate_of_object("build/start.o"), "start");
    }

    #[test]
    fn sections_tell_their_symbols() {
        assert_eq!(symbol_of_section(".text.unlikely.main"), Some("main"));
        assert_eq!(symbol_of_section(".rodata..Lanon.1"), None);
        assert_eq!(symbol_of_section(".rodata.cst16"), None);
        assert_eq!(symbol_of_section(".text"), None);
    }
}
