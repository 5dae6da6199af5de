//! Trust: damage is found and named, nothing needed is deleted, nothing half-written is left.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use mrx::runner::{
    Event, Input, Interrupt, Io, Listener, Node, Plan, Runner, Shelf, Signature, Source, Stage,
    StageError,
};
use mrx::store::{Digest, Host, Store};

use crate::lab::{Lab, skip};

fn finished() -> Lab {
    let lab = Lab::with_loop();
    lab.mrx(&["run", "loop"]).success();
    lab
}

/// Objects are read-only; damage has to be done by force.
fn damage(path: &Path, harm: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    harm(&mut bytes);
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn objects_are_read_only_and_named_by_what_b3sum_prints() {
    let lab = finished();
    let path = lab.object("scripted", "pair.m0/pairs");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o444);
    let name = path.to_string_lossy().replace('/', "");
    let digest = Digest::of(&fs::read(&path).unwrap()).to_hex();
    assert!(name.ends_with(&digest));
    match Command::new("b3sum").arg("--no-names").arg(&path).output() {
        Ok(output) => assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), digest),
        Err(_) => skip("there is no b3sum here to agree with"),
    }
}

#[test]
fn a_flipped_bit_is_found_told_and_mended() {
    let lab = finished();
    let before = lab.digests("scripted");
    let path = lab.object("scripted", "judge.m1/judgements");
    damage(&path, |bytes| bytes[1000] ^= 1);
    lab.mrx(&["store", "verify"]).fails_with(4).prints("damaged").prints("its bytes hash to");
    // A stage that would read it stops, and says so; stages beside it go on.
    let rerun = ["run", "loop", "--set", "pairs.actor.rho=0.5"];
    lab.mrx(&rerun).fails_with(4).says("pair.m1: object").says("is damaged");
    lab.mrx(&["store", "verify", "--repair"]).success().says("1 damaged files removed");
    lab.mrx(&["run", "loop"]).success();
    assert_eq!(lab.digests("scripted"), before);
    lab.mrx(&["store", "verify"]).success();
}

#[test]
fn an_object_cut_short_is_told_by_name() {
    let lab = finished();
    damage(&lab.object("scripted", "judge.m1/judgements"), |bytes| bytes.truncate(500));
    lab.mrx(&["sql", "SELECT count(*) FROM judgements"]).fails_with(4).says("its manifest says");
    lab.mrx(&["run", "loop"]).success().says("cut short; it is made again").says("1 made");
    lab.mrx(&["store", "verify"]).success().says("all is well");
}

#[test]
fn foreign_and_unreadable_files_are_named() {
    let lab = finished();
    lab.write(".mrx/objects/notes.txt", "x").write(".mrx/holiday.jpg", "x");
    let outcome = lab.mrx(&["store", "verify"]).success();
    let outcome = outcome.prints("foreign  holiday.jpg").prints("foreign  objects/notes.txt");
    outcome.says("nothing is damaged");
    let run = fs::read_dir(lab.path.join(".mrx/runs")).unwrap().next().unwrap().unwrap().path();
    fs::write(&run, "{\"format\": 1").unwrap();
    lab.mrx(&["store", "verify"]).fails_with(4).prints("EOF while parsing");
    lab.mrx(&["plan", "loop"]).fails_with(4).says("is damaged");
}

#[test]
fn what_comes_from_the_future_is_refused() {
    let lab = finished();
    let store = lab.store();
    let mut manifest = store.manifests().unwrap().remove(0);
    manifest.format = 99;
    store.write_manifest(&manifest).unwrap();
    lab.mrx(&["run", "loop"]).fails_with(1).says("has format 99").says("a newer mrx wrote it");
    lab.write(".mrx/FORMAT", "99\n");
    lab.mrx(&["sql", "SELECT 1"])
        .fails_with(1)
        .says("has format 99, and this mrx knows formats up to 2");
}

#[test]
fn gc_keeps_what_plans_and_pins_need() {
    let lab = finished();
    lab.mrx(&["store", "gc", "--grace", "0s"]).success().says("nothing to delete");
    lab.mrx(&["run", "loop", "--set", "judge.samples=5"]).success();
    let before = lab.digests("scripted");
    lab.mrx(&["store", "gc"]).success().says("younger than the grace time");
    let shown = lab.mrx(&["store", "gc", "--grace", "0s"]).success();
    shown.prints("judge.m0 of `scripted`, in no plan now").says("would be deleted").says("--yes");
    assert!(lab.store().verify().unwrap().findings.is_empty(), "showing deletes nothing");
    let old = lab.store().manifests().unwrap();
    let old = old.iter().find(|m| m.node == "judge.m3" && m.key.config["samples"] == 11).unwrap();
    lab.mrx(&["store", "pin", &old.run.short(), "--note", "for the paper"]).success();
    lab.mrx(&["store", "pin"]).success().prints("for the paper");
    lab.mrx(&["store", "gc", "--grace", "0s", "--yes"]).success().says("files deleted");
    lab.mrx(&["store", "verify"]).success().says("all is well");
    lab.mrx(&["show", &old.run.short()]).success().prints("judge.m3");
    assert_eq!(lab.digests("scripted"), before);
    let again = ["run", "loop", "--set", "judge.samples=5"];
    lab.mrx(&again).success().says("nothing to do");
    lab.mrx(&["store", "pin", &old.run.short(), "--remove"]).success();
    let doomed = lab.mrx(&["store", "gc", "--grace", "0s"]).success();
    doomed.prints("judge.m3 of `scripted`");
}

#[test]
fn gc_waits_for_no_run_and_no_run_for_gc() {
    let lab = finished();
    let _running = lab.store().lock_for_run().unwrap();
    lab.mrx(&["store", "gc", "--grace", "0s", "--yes"]).fails_with(1).says("in use by another mrx");
    lab.mrx(&["run", "loop"]).success();
}

#[test]
fn left_overs_of_a_crash_are_no_damage_and_are_swept() {
    let lab = finished();
    lab.write(".mrx/objects/.tmp-abc", "half an object");
    lab.write(&format!(".mrx/partial/{}/lock", "0".repeat(64)), "");
    lab.mrx(&["store", "verify"]).success();
    let outcome = lab.mrx(&["store", "gc", "--grace", "0s", "--yes"]).success();
    outcome.prints("temporary").prints("partial");
    assert!(!lab.path.join(".mrx/objects/.tmp-abc").exists());
}

#[test]
fn digits_name_none_one_or_many() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path().join("store")).unwrap();
    let digests: Vec<Digest> =
        (0..2000_u32).map(|n| store.put(&n.to_le_bytes()).unwrap()).collect();
    let resolve = |digits: &str| store.resolve(&digits.parse().unwrap()).unwrap();
    assert_eq!(resolve(&digests[0].to_hex()), mrx::store::Resolved::One(digests[0]));
    let mut firsts: Vec<String> = digests.iter().map(|d| d.to_hex()[..4].to_owned()).collect();
    firsts.sort();
    let twice = firsts.windows(2).find(|pair| pair[0] == pair[1]).expect("of 2,000 some agree");
    assert!(matches!(resolve(&twice[0]), mrx::store::Resolved::Many(found) if found.len() >= 2));
    let unused =
        (0..=0xffff_u32).map(|n| format!("{n:04x}")).find(|d| !firsts.contains(d)).unwrap();
    assert_eq!(resolve(&unused), mrx::store::Resolved::None);
}

/// A disk that fills up fails the stage, and keeps what was safe; with room, the run goes on.
#[test]
fn a_full_disk_loses_nothing() {
    let lab = Lab::with_loop();
    let disk = lab.path.join("disk");
    fs::create_dir(&disk).unwrap();
    let mount = |options: &str| {
        let output =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&disk).output();
        output.is_ok_and(|output| output.status.success())
    };
    if !mount("size=220k") {
        skip("no small disk can be mounted here");
        return;
    }
    let store = disk.join("store").to_string_lossy().into_owned();
    let full = lab.mrx(&["run", "loop", "--store", &store]);
    let verified = lab.mrx(&["store", "verify", "--store", &store]);
    let grown = mount("remount,size=64m");
    let resumed = lab.mrx(&["run", "loop", "--store", &store]);
    let sound = lab.mrx(&["store", "verify", "--store", &store]);
    assert!(Command::new("umount").arg(&disk).status().unwrap().success());
    assert!(full.code == 3 || full.code == 1, "{}", full.report());
    full.says("No space left on device").says("make room");
    verified.success().says("all is well");
    assert!(grown);
    resumed.success();
    sound.success().says("all is well");
}

/// What fails is the disk that is written to, not the file that is copied from.
#[test]
fn a_disk_that_fills_up_while_a_file_is_copied_is_told_by_name() {
    let lab = Lab::new();
    let disk = lab.path.join("disk");
    fs::create_dir(&disk).unwrap();
    let mut mounted = Command::new("mount");
    mounted.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(&disk);
    if !mounted.output().is_ok_and(|output| output.status.success()) {
        skip("no small disk can be mounted here");
        return;
    }
    let source = lab.path.join("model.safetensors");
    fs::write(&source, vec![7; 4 << 20]).unwrap();
    let told = Store::create(disk.join("store")).unwrap().put_file(&source).unwrap_err();
    assert!(Command::new("umount").arg(&disk).status().unwrap().success());
    assert!(
        matches!(&told, mrx::store::Error::Write { source, .. }
        if source.kind() == std::io::ErrorKind::StorageFull),
        "{told:?}"
    );
}

/// Root may write anywhere, so the command runs as nobody.
#[test]
fn a_store_that_may_not_be_written_can_still_be_asked() {
    let lab = finished();
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| {
        use std::os::unix::fs::MetadataExt;
        own.uid() == 0
    });
    if !is_root {
        skip("only root can become nobody");
        return;
    }
    // The lab's own folder is private to root.
    fs::set_permissions(&lab.path, fs::Permissions::from_mode(0o755)).unwrap();
    let binary = lab.path.join("mrx");
    fs::copy(env!("CARGO_BIN_EXE_mrx"), &binary).unwrap();
    let as_nobody = |arguments: &[&str]| {
        let mut command = Command::new(&binary);
        command.args(arguments).current_dir(&lab.path).env("HOME", "/").uid(65534).gid(65534);
        command.output().unwrap()
    };
    let asked = as_nobody(&["sql", "SELECT count(*) FROM prompts", "--format", "csv"]);
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    assert!(as_nobody(&["plan", "loop"]).status.success());
    assert!(as_nobody(&["store", "verify"]).status.success());
    let written = as_nobody(&["run", "loop", "--set", "seed=5"]);
    let said = String::from_utf8_lossy(&written.stderr).into_owned();
    assert_eq!(written.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot write") && said.contains("Permission denied"), "{said}");
}

#[test]
fn a_writer_that_is_dropped_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path().join("store")).unwrap();
    let mut writer = store.object_writer().unwrap();
    writer.write_all(b"half").unwrap();
    drop(writer);
    assert_eq!(fs::read_dir(store.objects_folder()).unwrap().count(), 0);
    assert!(store.verify().unwrap().findings.is_empty());
}

/// A stage that looks at what the store remembers while it runs.
struct Curious(std::path::PathBuf);

impl Stage for Curious {
    fn signature(&self) -> Signature {
        Signature { stage: "curious", version: 1, config: serde_json::Value::Null }
    }

    fn run(&self, io: &mut Io<'_>) -> Result<(), StageError> {
        let known = fs::read_to_string(self.0.join("sources.json"))?;
        assert!(known.contains("weights"), "{known}");
        io.check_unchanged("model")
    }
}

struct Deaf;

impl Listener for Deaf {
    fn hear(&self, _: &Event) {}
}

/// A model folder is hashed when its key is spelt out, and not again when a stage makes sure of it.
#[test]
fn what_was_learnt_of_files_is_kept_before_a_stage_asks_again() {
    let lab = Lab::new();
    fs::write(lab.path.join("weights"), vec![7; 2 << 20]).unwrap();
    let store = Store::create(lab.path.join(".mrx")).unwrap();
    let files = [("weights".to_owned(), lab.path.join("weights"))].into();
    let node = Node {
        name: "curious.m0".parse().unwrap(),
        stage: Box::new(Curious(store.root().to_owned())),
        inputs: vec![Input { name: "model", source: Source::Files(files) }],
    };
    let plan = Plan { experiment: "one".to_owned(), file: None, variant: None, nodes: vec![node] };
    let runner = Runner {
        store: &store,
        listener: &Deaf,
        interrupt: &Interrupt::default(),
        clock: std::time::SystemTime::now,
        device: "cpu",
        cache_memory: 1 << 30,
        host: &Host::default(),
        open: Shelf::default(),
    };
    let summary = runner.run(&plan, &[]).unwrap();
    assert!(summary.failed.is_empty(), "{:?}", summary.failed);
}
