//! Which engine does what: from the tables to engines, with what decides results and how they are
//! reached.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Error;
use super::engine_table::{EndpointTable, EngineTable, Kind, PricesTable, duration};
use super::machine::{Machine, MachineFile};
use super::per_iteration::{Count, Steps, Switch};
use super::spanned::Spanned;
use super::toml_file::File;
use super::trainers;
use crate::stages::remote::{
    ApiKey, Calls, Dialect, Endpoint, Files, How, Prices, Program, Report, Servers, report,
    version_of,
};
use crate::stages::{Adapter, Brought, Engine, EngineVersion, Protocol, Trl};

/// The engine of this program goes by this name where a role asks for it.
const LOCAL: &str = "local";

/// The engines of an experiment.
#[derive(Debug, Clone)]
pub(super) struct Engines {
    /// What trains, and tells log-probabilities to train with.
    pub(super) local: Engine,
    pub(super) respond: Engine,
    pub(super) judge: Engine,
    pub(super) meta_judge: Engine,
    /// What answers held-out prompts.
    pub(super) evaluate: Engine,
    /// What decides games.
    pub(super) games: Engine,
    /// A checkpoint from elsewhere, and the node whose result it becomes.
    pub(super) brought: Option<(String, Brought)>,
    /// How TRL trains, where it does.
    pub(super) trl: Option<Trl>,
    /// What this program trains in place of weights, where TRL does not.
    pub(super) adapter: Option<Adapter>,
    /// Bytes of memory that may be taken.
    pub(super) memory: Option<u64>,
    /// Threads that compute.
    pub(super) threads: usize,
}

impl Engines {
    /// Reads the engines of an experiment on a machine.
    pub(super) fn of(file: &File, machine: &Machine<'_>) -> Result<Self, Error> {
        let of_machine = MachineFile::read(machine.config)?;
        let trl = trainers::trl(file, machine, &of_machine)?;
        let memory = of_machine.memory.or(machine.memory);
        let root = &file.root;
        root.engine.iter().try_for_each(|table| table.as_ref().check(&file.text))?;
        root.engines.values().try_for_each(|table| table.check(&file.text))?;
        let reader = Reader { file, machine, of_machine, asked: Asked::default() };
        let evaluate = root.evaluate.as_ref().map(Spanned::as_ref);
        let meta_judge = root.meta_judge.as_ref();
        let games = evaluate.and_then(|table| table.judge.as_ref());
        Ok(Self {
            local: Engine::local(machine.device),
            brought: machine.brought.clone(),
            adapter: trainers::local_adapter(file, trl.is_some())?,
            trl,
            memory,
            threads: machine.threads,
            respond: reader.engine("respond", root.respond.engine.as_ref())?,
            judge: reader.engine("judge", root.judge.engine.as_ref())?,
            meta_judge: reader.engine("meta_judge", meta_judge.and_then(|t| t.engine.as_ref()))?,
            evaluate: reader.engine("respond", evaluate.and_then(|t| t.engine.as_ref()))?,
            games: reader.engine("evaluate", games.and_then(|t| t.engine.as_ref()))?,
        })
    }
}

struct Reader<'r> {
    file: &'r File,
    machine: &'r Machine<'r>,
    of_machine: MachineFile,
    /// What engines said: each is asked once, however many roles it has.
    asked: Asked,
}

/// What an engine says of itself, or why it does not.
type Told = Result<Report, String>;

/// What engines said, by what they were asked.
type Asked = RefCell<BTreeMap<String, Told>>;

impl Reader<'_> {
    /// The engine of a role: the one that it names, or that of all.
    fn engine(&self, stage: &str, named: Option<&Spanned<String>>) -> Result<Engine, Error> {
        let text = &self.file.text;
        let root = &self.file.root;
        let (table, name, span) = match named {
            Some(named) if named.as_ref() == LOCAL => {
                return Ok(Engine::local(self.machine.device));
            }
            Some(named) => {
                let name = named.as_ref();
                let [ours, machines] =
                    [&root.engines, &self.of_machine.engines].map(|all| all.get(name));
                let table = match (ours.cloned(), machines.cloned()) {
                    (Some(ours), Some(below)) => ours.over(below),
                    (Some(one), None) | (None, Some(one)) => one,
                    (None, None) => return Err(self.unknown(named)),
                };
                (table, name.as_str(), named.span())
            }
            None => {
                let below = self.of_machine.engine.clone();
                let (ours, span) = match &root.engine {
                    Some(ours) => (ours.as_ref().clone(), ours.span()),
                    None => (EngineTable::default(), 0..0),
                };
                (ours.over(below), "engine", span)
            }
        };
        let mistake = |message: String| text.error(&span, message);
        let (machine, asked) = (self.machine, &self.asked);
        Built { table: &table, name, stage, machine, asked, mistake: &mistake }.engine()
    }

    fn unknown(&self, named: &Spanned<String>) -> Error {
        let known = self.file.root.engines.keys().chain(self.of_machine.engines.keys());
        let known: Vec<String> = known.map(|name| format!("`{name}`")).collect();
        let known = if known.is_empty() {
            "there is no `[engines.NAME]`".to_owned()
        } else {
            format!("there are {}, and `local`", known.join(", "))
        };
        let message = format!("no engine is called `{}`; {known}", named.as_ref());
        self.file.text.error(&named.span(), message)
    }
}

/// An engine that is being put together from its table.
struct Built<'b> {
    table: &'b EngineTable,
    name: &'b str,
    stage: &'b str,
    machine: &'b Machine<'b>,
    asked: &'b Asked,
    mistake: &'b dyn Fn(String) -> Error,
}

impl Built<'_> {
    fn engine(&self) -> Result<Engine, Error> {
        let Some(kind) = self.kind() else { return Ok(Engine::local(self.machine.device)) };
        let dialect = self.dialect()?;
        let calls = self.calls(&dialect)?;
        let (how, words) = match kind {
            Kind::Local => return Ok(Engine::local(self.machine.device)),
            Kind::Endpoints => (How::Servers(Arc::new(self.servers(calls)?)), Vec::new()),
            Kind::Command => {
                let program = self.program(&dialect, calls)?;
                let mut words = deciding(&program.command, &dialect);
                // A sum that is taken in two parts is rounded otherwise than one.
                words.extend(program.lora.as_ref().map(|_| "lora".to_owned()));
                (How::Program(Arc::new(program)), words)
            }
            Kind::Batch => {
                let served_name = self.served_name();
                (How::Files(Arc::new(Files { served_name, work: None, calls })), Vec::new())
            }
        };
        let report = self.report(&how, &dialect)?;
        let compute: Vec<String> =
            self.table.compute.iter().map(|c| c.as_ref().clone()).chain(words).collect();
        let on = |switch: Option<Switch>, preset| switch.map_or(preset, |on| on.0);
        let protocol = Protocol {
            api: self.table.api.unwrap_or(dialect.api),
            seeds: on(self.table.seeds, dialect.seeds),
            token_ids: on(self.table.token_ids, dialect.token_ids),
            logprobs: on(self.table.logprobs, dialect.logprobs),
            n: on(self.table.n, false),
            context: report.context,
            fields: self.table.fields.clone().unwrap_or_default(),
        };
        let preset = self.table.preset.as_ref().map(|named| named.as_ref().clone());
        let how = self.by_files(how);
        Ok(Engine {
            name: preset.unwrap_or_else(|| self.name.to_owned()),
            version: EngineVersion::reported(report.version),
            compute: compute.join(" "),
            protocol: Some(protocol),
            how,
        })
    }

    /// What runs the model; `None` where the table says nothing.
    fn kind(&self) -> Option<Kind> {
        let table = self.table;
        let named = table.kind.as_ref().map(|kind| *kind.as_ref());
        named
            .or(table.endpoints.as_ref().map(|_| Kind::Endpoints))
            .or(table.command.as_ref().map(|_| Kind::Command))
            .or(table.preset.as_ref().map(|_| Kind::Command))
    }

    fn dialect(&self) -> Result<Dialect, Error> {
        let Some(named) = &self.table.preset else { return Ok(Dialect::plain()) };
        Dialect::preset(named.as_ref()).ok_or_else(|| {
            let known: Vec<&str> = Dialect::presets().collect();
            let found = named.as_ref();
            (self.mistake)(format!("expected a preset of {}, found `{found}`", known.join(", ")))
        })
    }

    fn calls(&self, dialect: &Dialect) -> Result<Calls, Error> {
        let plain = Calls::of(dialect.clone());
        let table = self.table;
        if table.max_cost.is_some() && table.prices.is_none() {
            return Err((self.mistake)(
                "`max_cost` needs `prices`, of a million tokens".to_owned(),
            ));
        }
        let prices = |prices: PricesTable| Prices {
            prompt: prices.prompt.0,
            completion: prices.completion.0,
        };
        Ok(Calls {
            timeout: duration(table.timeout.as_ref(), plain.timeout),
            patience: duration(table.patience.as_ref(), plain.patience),
            open_keys: table.allow_http.is_some_and(|on| on.0),
            max_concurrency: table.max_concurrency.map_or(plain.max_concurrency, Count::size),
            prices: table.prices.map(prices),
            max_cost: table.max_cost.map(|cost| cost.0),
            ..plain
        })
    }

    fn key(&self, variable: &str) -> ApiKey {
        ApiKey::new(variable.to_owned(), (self.machine.variable)(variable))
    }

    fn servers(&self, calls: Calls) -> Result<Servers, Error> {
        let table = self.table;
        let of_all = table.api_key_env.as_ref().map(|variable| self.key(variable.as_ref()));
        let endpoint = |named: &Spanned<EndpointTable>| match named.as_ref() {
            EndpointTable::Url(url) => Endpoint { url: url.clone(), key: of_all.clone() },
            EndpointTable::Keyed { url, api_key_env } => {
                Endpoint { url: url.clone(), key: Some(self.key(api_key_env)) }
            }
        };
        let endpoints: Vec<Endpoint> = table.endpoints.iter().flatten().map(endpoint).collect();
        if endpoints.is_empty() {
            let message = format!("the engine `{}` has no `endpoints`", self.name);
            return Err((self.mistake)(message));
        }
        Ok(Servers { endpoints, served_name: self.served_name(), calls })
    }

    fn program(&self, dialect: &Dialect, calls: Calls) -> Result<Program, Error> {
        const READY: Duration = Duration::from_mins(10);
        const RESTARTS: u32 = 3;
        let table = self.table;
        let given = table.command.as_ref().map(Spanned::as_ref).or(dialect.command.as_ref());
        let command = given.and_then(|command| shlex::split(command)).ok_or_else(|| {
            (self.mistake)(format!("the engine `{}` has no `command`", self.name))
        })?;
        let port = table.port.as_ref().and_then(|port| u16::try_from(port.as_ref().0).ok());
        Ok(Program {
            command,
            lora: self.lora(dialect)?,
            guard: self.machine.program.to_owned(),
            replicas: table.replicas.map_or(1, Count::size),
            gpus: table.gpus.map_or(0, Steps::size),
            port,
            ready_timeout: duration(table.ready_timeout.as_ref(), READY),
            restarts: table.restarts.map_or(RESTARTS, |n| u32::try_from(n.0).unwrap_or(u32::MAX)),
            environment: table.env.clone().unwrap_or_default(),
            calls,
        })
    }

    /// What a program is told of adapters, where it is to serve them on their base.
    fn lora(&self, dialect: &Dialect) -> Result<Option<Vec<String>>, Error> {
        if !self.table.lora.is_some_and(|on| on.0) {
            return Ok(None);
        }
        let words = dialect.lora.as_ref().and_then(|words| shlex::split(words));
        words.map(Some).ok_or_else(|| {
            let message = format!(
                "`lora` of the engine `{}`: only `preset = \"vllm\"` knows how adapters are served",
                self.name
            );
            (self.mistake)(message)
        })
    }

    /// What the engine says of itself: what the file says it will, what it says now, or what it said
    /// last.
    fn report(&self, how: &How, dialect: &Dialect) -> Result<Report, Error> {
        let declared = self.table.version.as_ref().map(|version| version.as_ref().clone());
        let remembered = self.remembered_as(how);
        let asks = self.machine.reports.asks();
        let preset = self.table.preset.as_ref().map(Spanned::as_ref);
        let question = format!("{remembered} {preset:?} {}", declared.is_some());
        let before = self.asked.borrow().get(&question).cloned();
        let asked = match before {
            Some(asked) => asked,
            None if asks => self.ask(how, dialect, declared.is_some())?,
            None => Err("nobody asks".to_owned()),
        };
        self.asked.borrow_mut().insert(question, asked.clone());
        let known = || self.machine.reports.known(&remembered);
        let mut found = match asked {
            Ok(found) => {
                if found != Report::default() {
                    self.machine.reports.learn(&remembered, &found);
                }
                found
            }
            // A program's version is never asked again. Servers are, before they draw.
            Err(why) if asks && matches!(how, How::Program(_)) => known().ok_or_else(|| {
                let name = self.name;
                (self.mistake)(format!(
                    "the version of the engine `{name}` is part of what decides results, and cannot be \
                     told: {why}; say `version`"
                ))
            })?,
            Err(_) => known().unwrap_or_default(),
        };
        found.version = declared.or(found.version);
        Ok(found)
    }

    /// Asks the engine who it is; a version that is declared need not be asked for.
    fn ask(&self, how: &How, dialect: &Dialect, declared: bool) -> Result<Told, Error> {
        match how {
            How::Servers(servers) if dialect.version_at.is_some() || !declared => {
                let name = servers.served_name.as_deref();
                let told = report(&servers.endpoints, &servers.calls, name);
                Ok(told.map_err(|error| error.to_string()))
            }
            How::Program(program) if !declared => self.version_of(program, dialect),
            _ => Ok(Ok(Report::default())),
        }
    }

    /// What stands for the engine among those that are remembered.
    fn remembered_as(&self, how: &How) -> String {
        match how {
            How::Servers(servers) => {
                let urls = servers.endpoints.iter().map(|endpoint| endpoint.url.as_str());
                urls.chain(servers.served_name.as_deref()).collect::<Vec<_>>().join(" ")
            }
            How::Program(program) => program.command.join(" "),
            How::Local | How::Files(_) => self.name.to_owned(),
        }
    }

    fn version_of(&self, program: &Program, dialect: &Dialect) -> Result<Told, Error> {
        let given = self.table.version_command.as_ref().map(|command| command.as_ref().clone());
        // What tells the version stands beside the program that is started.
        let beside = || {
            let folder = program.command.first()?.rsplit_once('/')?.0.to_owned();
            let command = dialect.version_command.as_ref()?;
            Some(format!("{folder}/{command}"))
        };
        let Some(command) = given.or_else(beside).or_else(|| dialect.version_command.clone())
        else {
            let message = format!(
                "the version of the engine `{}` is part of what decides results: say `version`, or \
                 `version_command`",
                self.name
            );
            return Err((self.mistake)(message));
        };
        let words = shlex::split(&command).unwrap_or_default();
        Ok(version_of(&words).map(|version| Report { version: Some(version), ..Report::default() }))
    }

    /// Where there is work with the files of a node, it is asked by files, whatever asks the others.
    fn by_files(&self, how: How) -> How {
        let is_mine = |node: &str| node.split('.').next() == Some(self.stage);
        match (&self.machine.work, how.calls()) {
            (Some((node, work)), Some(calls)) if is_mine(node) => How::Files(Arc::new(Files {
                served_name: self.served_name(),
                work: Some(work.clone()),
                calls: calls.clone(),
            })),
            _ => how,
        }
    }

    fn served_name(&self) -> Option<String> {
        self.table.served_name.as_ref().map(|name| name.as_ref().clone())
    }
}

/// The words of a command that decide results, with their values: those that a preset names, or all that
/// say neither where nor what the model is.
fn deciding(command: &[String], dialect: &Dialect) -> Vec<String> {
    let mut found = Vec::new();
    let mut words = command.iter().skip(1).peekable();
    while let Some(word) = words.next() {
        let (flag, value) = match word.split_once('=') {
            Some((flag, value)) => (flag, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        if !flag.starts_with('-') {
            continue;
        }
        let follows =
            words.peek().filter(|next| !next.starts_with('-')).map(|next| (*next).clone());
        let value = value.or(follows);
        let decides = if dialect.decides.is_empty() {
            value.as_ref().is_none_or(|value| !value.contains('{'))
        } else {
            dialect.decides.iter().any(|known| known == flag)
        };
        if decides {
            found.push(match value {
                Some(value) => format!("{flag} {value}"),
                None => flag.to_owned(),
            });
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &str, preset: Option<&str>) -> Vec<String> {
        let dialect = preset.and_then(Dialect::preset).unwrap_or_else(Dialect::plain);
        deciding(&shlex::split(command).unwrap(), &dialect)
    }

    #[test]
    fn what_a_command_says_of_numbers_decides_and_what_it_says_of_places_does_not() {
        let command = "/opt/vllm serve {model} --port {port} --dtype=float32 --max-model-len 2048 \
                       --gpu-memory-utilization 0.9 --enforce-eager";
        assert_eq!(words(command, Some("vllm")), ["--dtype float32", "--max-model-len 2048"]);
        let unknown = "./serve.sh -m {model} --port {port} --dtype bf16 --fast";
        assert_eq!(
            words(unknown, None),
            ["--dtype bf16", "--fast"],
            "of an unknown one, all decide"
        );
    }
}
