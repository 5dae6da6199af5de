//! Rubrics: the prompts of judge and meta-judge, and reading their verdicts back. Pure text.

mod choices;
mod rule;
mod rules;
mod sides;
mod system;
mod thinking;

use minijinja::{Environment, UndefinedBehavior, Value, context};
use serde::{Serialize, Serializer};

pub use choices::{Choice, Choices};
pub use rule::{BadRule, Explained, Form, Rule, RuleOptions};
pub use rules::{BuiltIn, ReadVerdict, Which};
pub use system::BadSystem;
pub use thinking::Thinking;

use crate::model::Message;
use crate::runner::StageError;
use crate::store::Digest;

/// The judge's prompt where the experiment brings none: an additive five-point rubric.
pub const JUDGE: &str = include_str!("judge.jinja");

/// The meta-judge's prompt where the experiment brings none.
pub const META_JUDGE: &str = include_str!("meta_judge.jinja");

/// The prompt of who compares two responses, where the experiment brings none.
pub const COMPARE: &str = include_str!("compare.jinja");

/// A prompt with places for variables. Its text is part of the key of the stage that uses it.
#[derive(Debug, Clone)]
pub struct Template {
    text: String,
    environment: Environment<'static>,
    has_system: bool,
}

/// Why a text cannot serve as a template.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TemplateError {
    /// It does not parse.
    #[error("{0}")]
    Syntax(String),
    /// A variable that has to be shown is not in it.
    #[error("it never shows `{{{{ {missing} }}}}`; it has to show {needed}")]
    Missing {
        /// The variable.
        missing: &'static str,
        /// All that it has to show.
        needed: String,
    },
    /// Its system message does not stand as it should.
    #[error(transparent)]
    System(#[from] BadSystem),
    /// It shows something that nothing gives.
    #[error("it shows `{{{{ {0} }}}}`, which nothing gives it")]
    Unknown(String),
}

impl Template {
    const NAME: &'static str = "template";

    /// The text, as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Reads a judge's template: it has to show `prompt` and `response`.
    ///
    /// # Errors
    /// Where the text cannot serve.
    pub fn for_judge(text: &str) -> Result<Self, TemplateError> {
        Self::parse(text, &["prompt", "response"])
    }

    /// Reads a meta-judge's template: it has to show `prompt`, `response` and both judgements.
    ///
    /// # Errors
    /// Where the text cannot serve.
    pub fn for_meta_judge(text: &str) -> Result<Self, TemplateError> {
        Self::parse(text, &["prompt", "response", "judgement_a", "judgement_b"])
    }

    /// Reads a template for comparing two responses: it has to show `prompt` and both.
    ///
    /// # Errors
    /// Where the text cannot serve.
    pub fn for_comparison(text: &str) -> Result<Self, TemplateError> {
        Self::parse(text, &["prompt", "response_a", "response_b"])
    }

    /// Reads a template for a probe of the judge: it may show `prompt` and `response`.
    ///
    /// # Errors
    /// Where the text cannot serve.
    pub fn for_probe(text: &str) -> Result<Self, TemplateError> {
        let probe = Self::of_variables(text, &[], &["prompt", "response"])?;
        if probe.has_system { Err(BadSystem::InProbe.into()) } else { Ok(probe) }
    }

    fn parse(text: &str, variables: &[&'static str]) -> Result<Self, TemplateError> {
        Self::of_variables(text, variables, variables)
    }

    fn of_variables(
        text: &str,
        needed: &[&'static str],
        known: &[&'static str],
    ) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let set_apart = system::set_apart(text)?;
        let has_system = set_apart.is_some();
        environment
            .add_template_owned(Self::NAME, set_apart.unwrap_or_else(|| text.to_owned()))
            .map_err(|e| TemplateError::Syntax(e.to_string()))?;
        let template = environment.get_template(Self::NAME);
        let shown = template
            .map(|template| template.undeclared_variables(false))
            .map_err(|e| TemplateError::Syntax(e.to_string()))?;
        if let Some(missing) = needed.iter().find(|name| !shown.contains(**name)) {
            return Err(TemplateError::Missing { missing, needed: needed.join(", ") });
        }
        let mut unknown: Vec<_> =
            shown.into_iter().filter(|name| !known.contains(&name.as_str())).collect();
        unknown.sort_unstable();
        match unknown.into_iter().next() {
            Some(unknown) => Err(TemplateError::Unknown(unknown)),
            None => Ok(Self { text: text.to_owned(), environment, has_system }),
        }
    }

    /// Returns what stands for the text in ids.
    pub(super) fn digest(&self) -> String {
        Digest::of(self.text.as_bytes()).to_hex()
    }

    /// Renders the judge's prompt.
    pub(super) fn judge(&self, prompt: &str, response: &str) -> Result<Vec<Message>, StageError> {
        self.messages(context! { prompt, response })
    }

    /// Renders the meta-judge's prompt.
    pub(super) fn meta_judge(
        &self,
        prompt: &str,
        response: &str,
        [judgement_a, judgement_b]: [&str; 2],
    ) -> Result<Vec<Message>, StageError> {
        self.messages(context! { prompt, response, judgement_a, judgement_b })
    }

    /// Renders the prompt of a comparison.
    pub(super) fn compare(
        &self,
        prompt: &str,
        [response_a, response_b]: [&str; 2],
    ) -> Result<Vec<Message>, StageError> {
        self.messages(context! { prompt, response_a, response_b })
    }

    /// Renders a probe.
    pub(super) fn probe(&self, prompt: &str, response: &str) -> Result<String, StageError> {
        let template = self.environment.get_template(Self::NAME)?;
        Ok(template.render(context! { prompt, response })?)
    }

    /// What the model is asked: the user's message, after the system's where the template has one.
    fn messages(&self, variables: Value) -> Result<Vec<Message>, StageError> {
        let rendered = self.environment.get_template(Self::NAME)?.render_captured(variables)?;
        if !self.has_system {
            return Ok(vec![Message::user(rendered.output())]);
        }
        let system = system::message(rendered.state());
        let user = Message::user(rendered.output().trim());
        Ok(system.into_iter().chain([user]).collect())
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_shows_what_it_has_to_and_nothing_else() {
        assert!(Template::for_judge(JUDGE).is_ok());
        assert!(Template::for_meta_judge(META_JUDGE).is_ok());
        let missing = Template::for_judge("{{ prompt }}").unwrap_err();
        assert!(missing.to_string().contains("{{ response }}"), "{missing}");
        let unknown = Template::for_judge("{{ prompt }}{{ response }}{{ reply }}").unwrap_err();
        assert!(unknown.to_string().contains("{{ reply }}"), "{unknown}");
        assert!(matches!(Template::for_judge("{{ prompt"), Err(TemplateError::Syntax(_))));
    }

    fn asked(template: &str) -> Vec<(String, String)> {
        let messages = Template::for_judge(template).unwrap().judge("P", "R").unwrap();
        messages.into_iter().map(|message| (message.role, message.content)).collect()
    }

    fn messages<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
        pairs.map(|(role, content)| (role.to_owned(), content.to_owned())).to_vec()
    }

    #[test]
    fn a_system_block_is_the_system_message_and_the_rest_the_users() {
        let template = "{% set who = 'judge' %}\n{% system %}\nBe a {{ who }}{% if prompt %} of {{ prompt }}\
                        {% endif %}.\n{% endsystem %}\n\n{{ prompt }}: {{ response }}\n";
        let both = messages([("system", "Be a judge of P."), ("user", "P: R")]);
        assert_eq!(asked(template), both);
        let last = "{{ prompt }}: {{ response }}{%- system -%} Be a judge of P. {%- endsystem %}";
        assert_eq!(asked(last), both, "it may stand anywhere");
        let silent = "{% system %} {% endsystem %}{{ prompt }}: {{ response }}";
        assert_eq!(asked(silent), messages([("user", "P: R")]), "one that says nothing is none");
        let without = " {{ prompt }}: {{ response }}\n\n";
        assert_eq!(asked(without), messages([("user", " P: R\n")]), "the text is as it was");
    }

    #[test]
    fn a_system_block_that_stands_wrong_is_refused() {
        let shown = "{{ prompt }}{{ response }}";
        for (block, expected) in [
            ("{% system %}a{% endsystem %}{% system %}b{% endsystem %}", "more than one"),
            ("{% if prompt %}{% system %}a{% endsystem %}{% endif %}", "inside another block"),
            ("{% for x in prompt %}{% set y %}{% system %}{% endsystem %}", "inside another block"),
            ("{% system %}{% system %}{% endsystem %}", "inside another block"),
            ("{% system %}a", "has no `{% endsystem %}`"),
            ("{% system %}{% if prompt %}{% endsystem %}{% endif %}", "has no `{% endsystem %}`"),
            ("a{% endsystem %}", "ends no `{% system %}`"),
        ] {
            let found = Template::for_judge(&format!("{shown}{block}")).unwrap_err().to_string();
            assert!(found.contains(expected), "{block}: {found}");
        }
        let probe = Template::for_probe("{% system %}a{% endsystem %}b").unwrap_err().to_string();
        assert!(probe.contains("a probe is an answer"), "{probe}");
    }
}
