//! Names near to a misspelt one, for "did you mean".

/// Edit distance (insert, delete, replace, swap of neighbours) of two names.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let width = right.len() + 1;
    let mut before_last = vec![0; width];
    let mut last: Vec<usize> = (0..width).collect();
    for (row, a) in left.iter().enumerate() {
        let mut current = vec![row + 1; width];
        for (column, b) in right.iter().enumerate() {
            let replaced = last[column] + usize::from(a != b);
            let mut best = replaced.min(last[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && *a == right[column - 1] && left[row - 1] == *b {
                best = best.min(before_last[column - 1] + 1);
            }
            current[column + 1] = best;
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last[width - 1]
}

/// The known names that `wrong` may stand for, nearest first, at most three.
///
/// Case and the two word separators are no difference.
pub fn near<'a>(wrong: &str, known: &[&'a str]) -> Vec<&'a str> {
    let plain = |name: &str| name.to_lowercase().replace('-', "_");
    let wanted = plain(wrong);
    let limit = (wanted.chars().count() / 3).clamp(1, 3);
    let mut found: Vec<(usize, &str)> = known
        .iter()
        .filter_map(|name| {
            let candidate = plain(name);
            let apart = distance(&wanted, &candidate);
            let contained = wanted.len() >= 3
                && (candidate.starts_with(&wanted) || wanted.starts_with(&candidate));
            (apart <= limit || contained).then_some((apart, *name))
        })
        .collect();
    found.sort();
    found.into_iter().map(|(_, name)| name).take(3).collect()
}

/// A remedy that names the near names if there are any, and always the known ones.
pub fn suggest(wrong: &str, what: &str, known: &[&str]) -> String {
    let near: Vec<String> = near(wrong, known)
        .iter()
        .map(|name| format!("`{name}`"))
        .collect();
    let all = known.join(", ");
    if near.is_empty() {
        format!("{what}: {all}")
    } else {
        format!("did you mean {}? {what}: {all}", near.join(" or "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("memory", "memroy"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let known = ["memory", "cpus", "machine"];
        assert_eq!(near("memmory", &known), ["memory"]);
        assert_eq!(near("mem", &known), ["memory"]);
        assert_eq!(near("CPUs", &known), ["cpus"]);
        assert!(near("environment", &known).is_empty());
        assert_eq!(near("name-space", &["name_space"]), ["name_space"]);
    }
}
