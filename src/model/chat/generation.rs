//! `{% generation %}` … `{% endgeneration %}`: marks what the assistant wrote. Rendering, it does nothing.

use super::tags::{reworded, tags};

/// Puts a tag that Jinja knows in the place of each: one that opens a scope, as transformers' own does,
/// with the signs that trim the space around it.
pub(super) fn without(template: &str) -> String {
    let found = tags(template);
    let known = found.iter().filter_map(|tag| match &template[tag.words.clone()] {
        "generation" => Some((tag, "with")),
        "endgeneration" => Some((tag, "endwith")),
        _ => None,
    });
    reworded(template, known)
}

#[cfg(test)]
mod tests {
    use super::without;

    #[test]
    fn the_tag_is_gone_with_its_signs_kept_and_strings_left_alone() {
        let of = |text: &str| without(text);
        assert_eq!(of("{%- generation -%}a{% endgeneration %}"), "{%- with -%}a{% endwith %}");
        assert_eq!(of("{%+generation%}é{%  endgeneration +%}"), "{%+with%}é{%  endwith +%}");
        assert_eq!(
            of("{% raw %}{%{% endraw %}{% generation %}"),
            "{% raw %}{%{% endraw %}{% with %}"
        );
        for untouched in [
            "{# {% generation %} #}{{ '{% generation %}' }}",
            "{% raw %}{% generation %}{%- endraw %}",
            "{% if generation %}{{ generation }}{ {% generation",
            "{% set x = \"\\\"{% generation %}\" %}{%",
        ] {
            assert_eq!(of(untouched), untouched);
        }
    }
}
