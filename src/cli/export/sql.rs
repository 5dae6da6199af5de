//! The queries of exports, which stand in files of their own, and what is put into them.

/// Puts values in the places that name them in braces. What is put in is not looked at again; other braces are left
/// as they are.
pub(super) fn fill(query: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(query.len());
    let mut rest = query;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        filled.push_str(before);
        let named = values.iter().find_map(|(name, value)| {
            let after = from[1..].strip_prefix(name)?.strip_prefix('}')?;
            Some((*value, after))
        });
        let (value, after) = named.unwrap_or_else(|| from.split_at(1));
        filled.push_str(value);
        rest = after;
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_where_they_are_named_and_are_not_looked_at_again() {
        let values = [("a", "{b}"), ("b", "x")];
        assert_eq!(fill("{a} {b} {'k': {c}} #{1} {", &values), "{b} x {'k': {c}} #{1} {");
    }
}
