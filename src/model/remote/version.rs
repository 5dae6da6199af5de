//! Which version a program is, without starting it as a server.

use std::process::{Command, Stdio};

/// Runs a command that tells a version, and finds the version in what it says.
///
/// # Errors
/// Where it cannot be run, or says none, in words.
pub fn version_of(words: &[String]) -> Result<String, String> {
    let Some((program, arguments)) = words.split_first() else {
        return Err("there is no command".to_owned());
    };
    let ran = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let ran = ran.map_err(|error| format!("cannot start `{program}`: {error}"))?;
    let said = [ran.stdout, ran.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    let found = said.iter().find_map(|said| version_in(said));
    found.ok_or_else(|| format!("`{}` says no version", words.join(" ")))
}

/// The version in what a program says: a line that says so, or else the last one that has a number.
fn version_in(said: &str) -> Option<String> {
    const LONGEST: usize = 60;
    let has_number = |line: &&str| line.chars().any(|c| c.is_ascii_digit());
    let says_so = said.lines().find_map(|line| line.trim().strip_prefix("version:"));
    let line = says_so.or_else(|| said.lines().rfind(has_number))?.trim();
    Some(line.chars().take(LONGEST).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_in_what_programs_say() {
        let vllm = "INFO 11-26 importing\n0.32.0+cpu\n";
        assert_eq!(version_in(vllm).as_deref(), Some("0.32.0+cpu"));
        let llama = "ggml: found 1 device\nversion: 6500 (abc123)\nbuilt with cc 12.2 for x86_64\n";
        assert_eq!(version_in(llama).as_deref(), Some("6500 (abc123)"));
        assert_eq!(version_in("no number"), None);
    }
}
