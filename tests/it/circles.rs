//! No circle of files: nowhere does a file import from another that imports it back, through
//! however many others, and whichever way it names them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use petgraph::algo::tarjan_scc;
use petgraph::graph::DiGraph;

use crate::architecture::sources;
use crate::lab::PROJECT;

/// A module's file, as it is written.
#[derive(Default)]
struct Source {
    /// As `src/store/mod.rs`.
    file: String,
    /// What `use` lines bring in, by the name that it goes by here.
    names: BTreeMap<String, Vec<String>>,
    /// Paths in the code and the imports, but for those that the file only passes on.
    paths: BTreeSet<Vec<String>>,
}

/// Modules by their paths: `["store", "table"]`.
type Modules = BTreeMap<Vec<String>, Source>;

/// After these, a word names nothing that stands elsewhere.
const BEFORE_NEW: [&str; 10] =
    [".", "::", "mod", "type", "fn", "struct", "enum", "trait", "const", "static"];

/// Words, `::` and other signs; no comments, no texts, and nothing from `#[cfg(test)]` on.
fn tokens(text: &str) -> Vec<String> {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let skipped = r#"(?x) //[^\n]* | (?s:/\*.*?\*/) | b?r\#"(?s:.*?)"\# | b?r?"(?s:\\.|[^"\\])*"
        | '(?:\\[^']+|[^'\\])' | '\w+ | ::|=>|->|\w+|[^\s]"#;
    let all = regex::Regex::new(skipped).unwrap();
    let words = all.find_iter(text).map(|found| found.as_str());
    let talk = |word: &&str| {
        ["//", "/*", "\"", "'", "r\"", "r#\"", "b\"", "br\""].iter().any(|s| word.starts_with(s))
    };
    words.filter(|word| !talk(word)).map(ToOwned::to_owned).collect()
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// The paths of a `use`, from `at` to its `;`, each with the name it goes by.
fn use_tree(
    tokens: &[String],
    at: &mut usize,
    before: &[String],
    to: &mut Vec<(String, Vec<String>)>,
) {
    let mut path = before.to_vec();
    let mut name = None;
    while let Some(token) = tokens.get(*at) {
        *at += 1;
        match token.as_str() {
            "{" => {
                while tokens[*at] != "}" {
                    use_tree(tokens, at, &path, to);
                    *at += usize::from(tokens[*at] == ",");
                }
                *at += 1;
                return;
            }
            "as" => {
                name = Some(tokens[*at].clone());
                *at += 1;
            }
            "," | "}" | ";" => {
                *at -= 1;
                break;
            }
            "self" if !path.is_empty() => {}
            "::" => {}
            part => path.push(part.to_owned()),
        }
    }
    let last = path.last().cloned().unwrap_or_default();
    to.push((name.unwrap_or(last), path));
}

fn read(text: &str) -> Source {
    let mut source = Source::default();
    let tokens = tokens(text);
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at] == "use" && tokens.get(at + 1).is_some_and(|next| next != "<") {
            // `pub use`, `pub(crate) use`
            let passes_on = at > 0 && ["pub", ")"].contains(&tokens[at - 1].as_str());
            let mut found = Vec::new();
            at += 1;
            use_tree(&tokens, &mut at, &[], &mut found);
            for (name, path) in found {
                if !passes_on {
                    source.paths.insert(path.clone());
                }
                source.names.insert(name, path);
            }
        } else if is_name(&tokens[at]) && !(at > 0 && BEFORE_NEW.contains(&tokens[at - 1].as_str()))
        {
            let mut path = vec![tokens[at].clone()];
            while tokens.get(at + 1).is_some_and(|t| t == "::")
                && tokens.get(at + 2).is_some_and(|t| is_name(t))
            {
                path.push(tokens[at + 2].clone());
                at += 2;
            }
            source.paths.insert(path);
            at += 1;
        } else {
            at += 1;
        }
    }
    source
}

/// Reads every module below `src/`.
fn modules() -> Modules {
    let root = Path::new(PROJECT).join("src");
    let mut modules = Modules::new();
    for file in sources(&root) {
        let inside = file.strip_prefix(&root).unwrap().with_extension("");
        let mut path: Vec<String> =
            inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if ["mod", "lib"].contains(&path.last().unwrap().as_str()) {
            path.pop();
        }
        if path != ["main"] {
            let name = file.strip_prefix(PROJECT).unwrap().to_string_lossy().into_owned();
            modules
                .insert(path, Source { file: name, ..read(&fs::read_to_string(&file).unwrap()) });
        }
    }
    modules
}

/// The module whose file defines what `path` names where `module` says it; `None` for what is not of
/// this crate, and for a module as such: what is used of it says where to look.
fn definer(
    modules: &Modules,
    module: &[String],
    path: &[String],
    depth: usize,
) -> Option<Vec<String>> {
    let first = path.first()?.as_str();
    let (mut at, mut rest) = match first {
        "crate" => (Vec::new(), &path[1..]),
        "self" => (module.to_vec(), &path[1..]),
        "super" => (module[..module.len().checked_sub(1)?].to_vec(), &path[1..]),
        _ => (module.to_vec(), path),
    };
    let is_open = ["crate", "self", "super"].contains(&first);
    let mut steps = 0;
    while let Some((name, after)) = rest.split_first() {
        let child = [at.as_slice(), std::slice::from_ref(name)].concat();
        if name == "super" {
            at.pop();
        } else if modules.contains_key(&child) {
            at = child;
        } else if let Some(target) = modules[&at].names.get(name).filter(|_| depth < 8) {
            let whole = [target.as_slice(), after].concat();
            return (whole != path).then(|| definer(modules, &at, &whole, depth + 1)).flatten();
        } else {
            return (is_open || steps > 0).then_some(at);
        }
        steps += 1;
        rest = after;
    }
    None
}

/// Which file imports from which, and what.
fn imports(modules: &Modules) -> BTreeMap<(&str, &str), BTreeSet<String>> {
    let mut imports: BTreeMap<(&str, &str), BTreeSet<String>> = BTreeMap::new();
    for (module, source) in modules {
        for path in &source.paths {
            if let Some(made) = definer(modules, module, path, 0).filter(|made| made != module) {
                let to = modules[&made].file.as_str();
                imports.entry((source.file.as_str(), to)).or_default().insert(path.join("::"));
            }
        }
    }
    imports
}

#[test]
fn no_files_import_each_other() {
    let modules = modules();
    let imports = imports(&modules);
    let files: BTreeSet<&str> = imports.keys().flat_map(|&(from, to)| [from, to]).collect();
    let mut graph = DiGraph::<&str, ()>::new();
    let places: BTreeMap<&str, _> =
        files.into_iter().map(|file| (file, graph.add_node(file))).collect();
    graph.extend_with_edges(imports.keys().map(|(from, to)| (places[from], places[to])));
    let found = tarjan_scc(&graph).into_iter().filter(|circle| circle.len() > 1);
    let circles: Vec<Vec<&str>> =
        found.map(|circle| circle.into_iter().map(|place| graph[place]).collect()).collect();
    let mut said = String::new();
    for circle in &circles {
        let _ = writeln!(said, "a circle of {} files:", circle.len());
        for ((from, to), names) in &imports {
            if circle.contains(from) && circle.contains(to) {
                let names = names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                let _ = writeln!(said, "  {from} -> {to}: {names}");
            }
        }
    }
    assert!(said.is_empty(), "{said}");
}

#[test]
fn a_name_is_followed_to_the_file_that_defines_it() {
    let files = [
        ("lib", "pub mod a; pub mod c;"),
        ("a", "mod b; mod d; pub use b::B; struct A; fn f() -> d::D { b::g() }"),
        ("a::b", "use super::{A, d::{self as e}}; struct B; // use crate::c;\nfn g() -> e::D {}"),
        ("a::d", "use crate::c; struct D(A); const S: &str = \"crate::a::B\"; // c::C"),
        ("c", "use crate::a::{B as X, A}; use std::fmt; fn h<'a>() { self::i(); fmt::A; ' '; }"),
    ];
    let path =
        |name: &str| name.split("::").filter(|part| *part != "lib").map(str::to_owned).collect();
    let module =
        |(name, text): (&str, &str)| (path(name), Source { file: name.to_owned(), ..read(text) });
    let modules: Modules = files.into_iter().map(module).collect();
    let found = imports(&modules);
    let found: Vec<String> = found.keys().map(|(from, to)| format!("{from} -> {to}")).collect();
    // What `a` passes on is no import of its own, but `d::D` and `b::g` are; a module as such is none.
    assert_eq!(
        found,
        ["a -> a::b", "a -> a::d", "a::b -> a", "a::b -> a::d", "c -> a", "c -> a::b"]
    );
}
