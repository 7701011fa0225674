//! Links that packages make by `update-alternatives` when they are installed.
//!
//! Maintainer scripts are not run. Where one registers an alternative in plain words (no
//! variables), the link is made; the highest priority wins. Links go straight to their
//! target, without `/etc/alternatives` in between.

/// An alternative: a link, and what it should lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative {
    /// The link's path.
    pub link: String,
    /// The program's path.
    pub target: String,
    /// The higher one wins.
    pub priority: i32,
}

/// Finds the alternatives that a maintainer script registers.
pub fn of_script(script: &str) -> Vec<Alternative> {
    let joined = script.replace("\\\n", " ");
    let mut found = Vec::new();
    for line in joined.lines() {
        let Some((_, rest)) = line.split_once("update-alternatives") else {
            continue;
        };
        let words: Vec<&str> = rest
            .split_whitespace()
            .map(|word| word.trim_matches(|c| c == '"' || c == '\''))
            .collect();
        let mut priority = 0;
        let mut rest = words.as_slice();
        while let Some((word, after)) = rest.split_first() {
            rest = after;
            let (link, target) = match (*word, after) {
                ("--install", [link, _, target, number, ..]) => {
                    let Ok(number) = number.trim_end_matches(';').parse() else {
                        break;
                    };
                    priority = number;
                    (link, target)
                }
                ("--slave", [link, _, target, ..]) => (link, target),
                _ => continue,
            };
            let plain = |path: &str| path.starts_with('/') && !path.contains(['$', '`', '*']);
            if plain(link) && plain(target) {
                found.push(Alternative {
                    link: (*link).to_owned(),
                    target: (*target).trim_end_matches(';').to_owned(),
                    priority,
                });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::damage::damaged_text;

    #[test]
    fn links_are_found_in_a_script() {
        let script = "#!/bin/sh\nset -e\nif [ \"$1\" = configure ]; then\n  update-alternatives --quiet --install \\\n    /usr/bin/awk awk /usr/bin/mawk 5 \\\n    --slave /usr/share/man/man1/awk.1.gz awk.1.gz /usr/share/man/man1/mawk.1.gz\nfi\n";
        let found = of_script(script);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].link, "/usr/bin/awk");
        assert_eq!(found[0].target, "/usr/bin/mawk");
        assert_eq!(found[0].priority, 5);
    }

    #[test]
    fn what_needs_a_shell_is_left_alone() {
        assert!(of_script("update-alternatives --install /usr/bin/$x x /usr/bin/y 10").is_empty());
        assert!(of_script("update-alternatives --remove awk /usr/bin/mawk").is_empty());
        assert!(of_script("update-alternatives --install /a b").is_empty());
    }

    const SCRIPT: &str = "#!/bin/sh\nupdate-alternatives --install /usr/bin/awk awk /usr/bin/mawk 5 \\\n --slave /usr/share/man/man1/awk.1.gz awk.1.gz /usr/share/man/man1/mawk.1.gz\n";

    proptest! {
        #[test]
        fn any_script_gives_plain_links(
            script in damaged_text(SCRIPT, &["--install ", "--slave ", "update-alternatives", " /x x /y 7;", "$", "\\\n", "'"]),
        ) {
            for found in of_script(&script) {
                prop_assert!(found.link.starts_with('/') && found.target.starts_with('/'));
                prop_assert!(!found.link.contains('$') && !found.target.contains('$'));
            }
        }
    }
}
