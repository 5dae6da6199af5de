//! How much one machine asks for: figures, printed.

use std::time::{Duration, Instant};

use super::with_engine;
use crate::resume::one_iteration;
use crate::server::{Options, Server};

/// 200,000 rows from a server that answers at once, then 40,000 from one that takes a while, so that as
/// many are under way as may be. It prints rows a second and the memory that mrx took.
#[test]
#[ignore = "a measurement, of a minute or two"]
fn many_requests() {
    measure(25_000, Duration::ZERO);
    measure(5000, Duration::from_millis(100));
}

#[expect(clippy::print_stdout, reason = "it is run for its figures")]
fn measure(prompts: u32, latency: Duration) {
    let samples = 8_u32;
    let lab = one_iteration(prompts);
    lab.edit("loop/experiment.toml", "samples = 7", &format!("samples = {samples}"));
    let server = Server::start(Options {
        name: "m0".to_owned(),
        latency,
        ..Options::instant("one two three")
    });
    let engine = format!(
        "[engine]\nendpoints = [{:?}]\nserved_name = \"m0\"\napi = \"chat\"\nversion = \"1\"\nmax_concurrency = 512",
        server.url()
    );
    with_engine(&lab, &engine);
    lab.mrx(&["run", "loop", "prompts.m0"]).success();
    let began = Instant::now();
    let mut child = lab.command(&["run", "loop", "respond.m0"]).spawn().unwrap();
    let mut most = 0;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        let told =
            std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let peak = told.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse::<u64>().ok());
        most = most.max(peak.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(status.success());
    let spent = began.elapsed().as_secs_f64();
    let rows = f64::from(prompts * samples);
    let counts = server.counts();
    println!(
        "{:.0} requests a second, {} MiB, {} under way at most",
        rows / spent,
        most / 1024,
        counts.most_under_way
    );
    assert_eq!(counts.answered, u64::from(prompts * samples));
}
