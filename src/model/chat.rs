//! Chat templates: a conversation as the text that the model was trained on.

use std::collections::BTreeMap;
use std::path::PathBuf;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, Value, context};
use minijinja_contrib::pycompat::unknown_method_callback;
use serde::{Deserialize, Serialize};

use super::Message;
use super::error::Error;
use super::folder::{parse, read};

const NAME: &str = "chat_template.jinja";

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

/// A chat template, and the tokens that it names.
#[derive(Debug)]
pub struct Chat {
    environment: Environment<'static>,
    text: String,
    bos_token: Option<String>,
    eos_token: Option<String>,
}

/// What is read of `tokenizer_config.json`.
#[derive(Default, Deserialize)]
struct Published {
    chat_template: Option<Templates>,
    bos_token: Option<Token>,
    eos_token: Option<Token>,
}

/// One template, or several by name.
#[derive(Deserialize)]
#[serde(untagged)]
enum Templates {
    One(String),
    Many(Vec<Named>),
}

#[derive(Deserialize)]
struct Named {
    name: String,
    template: String,
}

/// A token, bare or with its settings.
#[derive(Deserialize)]
#[serde(untagged)]
enum Token {
    Bare(String),
    Full { content: String },
}

impl Token {
    fn content(self) -> String {
        match self {
            Self::Bare(content) | Self::Full { content } => content,
        }
    }
}

impl Chat {
    /// Reads the template of a model's folder: `chat_template.jinja`, else the one in
    /// `tokenizer_config.json`.
    ///
    /// # Errors
    /// Where there is none, or it is not a template.
    pub fn open(files: &BTreeMap<String, PathBuf>) -> Result<Self, Error> {
        let published = match files.get("tokenizer_config.json") {
            Some(path) => parse::<Published>(path)?,
            None => Published::default(),
        };
        let text = match (files.get(NAME), published.chat_template) {
            (Some(path), _) => read(path)?,
            (None, Some(Templates::One(template))) => template,
            (None, Some(Templates::Many(named))) => named
                .into_iter()
                .find(|named| named.name == "default")
                .map(|named| named.template)
                .ok_or(Error::NoTemplate)?,
            (None, None) => return Err(Error::NoTemplate),
        };
        let [bos, eos] =
            [published.bos_token, published.eos_token].map(|token| token.map(Token::content));
        Self::new(text, bos, eos)
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
        let mut environment = Environment::new();
        // As transformers sets Jinja up.
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|e| failed(&e))?);
        // A template that loops for ever ends in an error, after a few seconds.
        environment.set_fuel(Some(FUEL));
        environment.set_unknown_method_callback(unknown_method_callback);
        environment.add_function("raise_exception", raise_exception);
        environment.add_filter("tojson", tojson);
        environment.add_template_owned(NAME, text.clone()).map_err(|e| failed(&e))?;
        Ok(Self { environment, text, bos_token, eos_token })
    }

    /// The template's text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Writes a conversation; `add_generation_prompt` opens the assistant's next turn.
    ///
    /// # Errors
    /// Where the template refuses it.
    pub fn render(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<String, Error> {
        let messages: Vec<Value> =
            messages.iter().map(|Message { role, content }| context! { role, content }).collect();
        // Templates ask whether a token is defined.
        let token = |token: &Option<String>| token.clone().map_or(Value::UNDEFINED, Value::from);
        let template = self.environment.get_template(NAME).map_err(|e| failed(&e))?;
        let mut written = Written(Vec::new());
        let values = context! {
            messages,
            add_generation_prompt,
            bos_token => token(&self.bos_token),
            eos_token => token(&self.eos_token),
            tools => Value::from(()),
            documents => Value::from(()),
        };
        template.render_captured_to(values, &mut written).map_err(|e| failed(&e))?;
        Ok(String::from_utf8_lossy(&written.0).into_owned())
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
        self.eos_token.as_deref()
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

fn raise_exception(message: String) -> Result<Value, minijinja::Error> {
    Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
}

/// As Python's `json.dumps` writes it.
fn tojson(value: &Value) -> Result<Value, minijinja::Error> {
    let fail =
        |e: serde_json::Error| minijinja::Error::new(ErrorKind::BadSerialization, e.to_string());
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Spaced);
    value.serialize(&mut serializer).map_err(fail)?;
    Ok(Value::from_safe_string(String::from_utf8_lossy(&bytes).into_owned()))
}

struct Spaced;

impl serde_json::ser::Formatter for Spaced {
    fn begin_array_value<W: ?Sized + std::io::Write>(
        &mut self,
        to: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        if first { Ok(()) } else { to.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(
        &mut self,
        to: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        if first { Ok(()) } else { to.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(
        &mut self,
        to: &mut W,
    ) -> std::io::Result<()> {
        to.write_all(b": ")
    }
}

fn failed(error: &minijinja::Error) -> Error {
    let reason = match error.line() {
        Some(line) => {
            let kind = error.kind().to_string();
            format!("line {line}: {}", error.detail().unwrap_or(&kind))
        }
        None => error.to_string(),
    };
    Error::Template { name: NAME.to_owned(), reason }
}
