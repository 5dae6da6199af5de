//! Chat templates: a conversation as the text that the model was trained on. They are written for the way
//! in which transformers sets Jinja up, and are rendered as there.

mod arguments;
mod generation;
mod json;
mod methods;
mod missing;
mod published;
mod python;
mod tags;

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, Value, context};

use super::Message;
use super::error::Error;
pub use arguments::{Arguments, BadArgument};
use missing::{Missing, Printed};
use published::{NAME, Tokens};
pub use tags::{Tag, reworded, tags};

/// Instructions that one conversation may take: the longest ones take some hundred thousand.
const FUEL: u64 = 50_000_000;

/// ChatML, for a model that has no template of its own yet. Its tokens are `<|im_start|>` and
/// `<|im_end|>`; the second ends a turn.
pub const CHATML: &str = "\
{% for message in messages %}
<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor %}
{% if add_generation_prompt %}
<|im_start|>assistant
{% endif %}
";

/// A chat template, the tokens that it names, and what else it is given.
#[derive(Debug)]
pub struct Chat {
    environment: Environment<'static>,
    text: String,
    tokens: Tokens,
    arguments: Arguments,
    /// Names that it reads and does not set itself.
    reads: HashSet<String>,
}

impl Chat {
    /// Reads the template of a model's folder: `chat_template.jinja`, else the one in
    /// `tokenizer_config.json`.
    ///
    /// # Errors
    /// Where there is none, or it is not a template.
    pub fn open(files: &BTreeMap<String, PathBuf>) -> Result<Self, Error> {
        let (text, tokens) = published::open(files)?;
        Self::compile(text, tokens)
    }

    /// Compiles a template.
    ///
    /// # Errors
    /// Where it is not one.
    pub fn new(
        text: String,
        bos_token: Option<String>,
        eos_token: Option<String>,
    ) -> Result<Self, Error> {
        let tokens = [("bos_token", bos_token), ("eos_token", eos_token)];
        let tokens = tokens.into_iter().filter_map(|(name, token)| Some((name.to_owned(), token?)));
        Self::compile(text, tokens.collect())
    }

    fn compile(text: String, tokens: Tokens) -> Result<Self, Error> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|e| failed(&e))?);
        // A template that loops for ever ends in an error, after a few seconds.
        environment.set_fuel(Some(FUEL));
        environment.set_unknown_method_callback(methods::call);
        environment.add_function("raise_exception", raise_exception);
        environment.add_function(arguments::DATE, no_date);
        environment.add_filter("tojson", json::tojson);
        python::set_up(&mut environment);
        let compiled = generation::without(&text);
        environment.add_template_owned(NAME, compiled).map_err(|e| failed(&e))?;
        let template = environment.get_template(NAME).map_err(|e| failed(&e))?;
        let reads = template.undeclared_variables(false);
        let reads = reads.into_iter().filter(|name| !environment.globals().any(|(n, _)| n == name));
        let reads = reads.collect();
        Ok(Self { environment, text, tokens, arguments: Arguments::default(), reads })
    }

    /// Gives the template tokens by name, beside or in place of those that it has.
    #[must_use]
    pub fn with_tokens(mut self, tokens: impl IntoIterator<Item = (String, String)>) -> Self {
        self.tokens.extend(tokens);
        self
    }

    /// Gives the template arguments.
    ///
    /// # Errors
    /// Where it never reads one of them: whatever that is meant to do, it does not.
    pub fn with_arguments(mut self, arguments: &Arguments) -> Result<Self, Error> {
        if let Some(name) = arguments.names().find(|name| !names(&self.text, name)) {
            let reason = format!("it never reads `{name}`, which the experiment gives it");
            return Err(Error::Template { name: NAME.to_owned(), reason });
        }
        if let Some(date) = arguments.date() {
            let tell = move |form: &str| {
                let no_form =
                    || minijinja::Error::new(ErrorKind::InvalidOperation, not_a_form(form));
                arguments::written(date, form).ok_or_else(no_form)
            };
            self.environment.add_function(arguments::DATE, tell);
        }
        self.arguments = arguments.clone();
        Ok(self)
    }

    /// The template's text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Writes a conversation; `add_generation_prompt` opens the assistant's next turn.
    ///
    /// # Errors
    /// Where the template refuses it, or prints a name that nothing defines.
    pub fn render(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<String, Error> {
        let printed = Arc::new(Printed::default());
        let values = self.values(messages, add_generation_prompt, &printed);
        let template = self.environment.get_template(NAME).map_err(|e| failed(&e))?;
        let mut written = Written(Vec::new());
        template
            .render_captured_to(Value::from(values), &mut written)
            .map_err(|e| self.told(&e, messages))?;
        match printed.first() {
            None => Ok(String::from_utf8_lossy(&written.0).into_owned()),
            Some(name) => {
                let reason = format!(
                    "it prints `{name}`, which neither the tokenizer nor \
                                      `[model.template]` defines"
                );
                Err(Error::Template { name: NAME.to_owned(), reason })
            }
        }
    }

    /// The error of a template that refuses a conversation, for its roles as often as not, or that fails at
    /// it, for want of a token as often as not.
    fn told(&self, error: &minijinja::Error, messages: &[Message]) -> Error {
        let reason = reason(error);
        let roles = messages.iter().map(|message| message.role.as_str());
        let given = |name: &str| self.tokens.contains_key(name) || self.arguments.has(name);
        let mut tokens: Vec<&str> = self.reads.iter().map(String::as_str).collect();
        tokens.retain(|name| name.ends_with("_token") && !given(name));
        tokens.sort_unstable();
        let beside = match (was_raised(error), tokens.is_empty()) {
            (true, _) => format!(" (roles: {})", roles.collect::<Vec<_>>().join(", ")),
            (false, true) => String::new(),
            (false, false) => format!(" (the tokenizer has no `{}`)", tokens.join("`, `")),
        };
        Error::Template { name: NAME.to_owned(), reason: reason + &beside }
    }

    /// All that the template may read, by name.
    fn values(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
        printed: &Arc<Printed>,
    ) -> BTreeMap<&str, Value> {
        let messages: Vec<Value> =
            messages.iter().map(|Message { role, content }| context! { role, content }).collect();
        let unknown = self.reads.iter().map(|name| (name.as_str(), Missing::value(name, printed)));
        let mut values: BTreeMap<&str, Value> = unknown.collect();
        values.extend(self.tokens.iter().map(|(name, token)| (name.as_str(), Value::from(token))));
        let arguments = self.arguments.variables();
        values.extend(arguments.map(|(name, value)| (name, Value::from(Serde(value)))));
        values.extend([
            ("messages", Value::from(messages)),
            ("add_generation_prompt", Value::from(add_generation_prompt)),
            ("tools", Value::from(())),
            ("documents", Value::from(())),
        ]);
        values
    }

    /// What the template writes after an answer: the end of its turn.
    ///
    /// # Errors
    /// Where the template refuses the conversation.
    pub fn ending(&self, messages: &[Message]) -> Result<String, Error> {
        // Any text: some templates trim an answer, or write something before it.
        const ANSWER: &str = "answer";
        let mut whole = messages.to_vec();
        whole.push(Message { role: "assistant".to_owned(), content: ANSWER.to_owned() });
        let whole = self.render(&whole, false)?;
        let ending = whole.rfind(ANSWER).map(|at| whole[at + ANSWER.len()..].to_owned());
        Ok(ending.unwrap_or_default())
    }

    /// The token that ends a text, where the folder names one.
    pub(super) fn eos_token(&self) -> Option<&str> {
        self.tokens.get("eos_token").map(String::as_str)
    }
}

/// A conversation, up to more than any model reads.
struct Written(Vec<u8>);

impl std::io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        const MOST: usize = 64 << 20;
        if self.0.len() + bytes.len() > MOST {
            return Err(std::io::Error::other("the conversation is longer than 64 MiB"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What a template's own `raise_exception` says.
#[derive(Debug, thiserror::Error)]
#[error("raised by the template")]
struct Raised;

fn raise_exception(message: String) -> Result<Value, minijinja::Error> {
    Err(minijinja::Error::new(ErrorKind::InvalidOperation, message).with_source(Raised))
}

fn was_raised(error: &minijinja::Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if error.is::<Raised>() {
            return true;
        }
        next = error.source();
    }
    false
}

fn no_date(_: &str) -> Result<Value, minijinja::Error> {
    let reason = "it asks for today's date (`strftime_now`), and no `strftime_now` in \
                  `[model.template]` says which day that is";
    Err(minijinja::Error::new(ErrorKind::InvalidOperation, reason))
}

fn not_a_form(form: &str) -> String {
    format!("`{form}` is no form of a date")
}

/// Whether a name stands in a text, and not as part of another.
fn names(text: &str, name: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(name)
        .any(|(at, _)| !text[..at].ends_with(part) && !text[at + name.len()..].starts_with(part))
}

fn failed(error: &minijinja::Error) -> Error {
    Error::Template { name: NAME.to_owned(), reason: reason(error) }
}

fn reason(error: &minijinja::Error) -> String {
    match error.line() {
        Some(line) => {
            let kind = error.kind().to_string();
            format!("line {line}: {}", error.detail().unwrap_or(&kind))
        }
        None => error.to_string(),
    }
}
