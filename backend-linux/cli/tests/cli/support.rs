//! Running the command, with and without rights, and rings for it.

use std::io::Write;
use std::ops::Deref;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use user_ringbuf_kit::bpffs;
use user_ringbuf_linux::{DrainOptions, DrainProgram, Map};

pub(crate) use user_ringbuf_kit::bpffs::Directory;

/// What a run printed, and its exit status.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            status: output.status.code().expect("ended by itself"),
            stdout: String::from_utf8(output.stdout.clone()).unwrap(),
            stderr: String::from_utf8(output.stderr.clone()).unwrap(),
        }
    }

    /// The one JSON object on standard output.
    pub(crate) fn json(&self) -> Value {
        let value: Value = serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        assert!(value.is_object());
        assert_eq!(self.stdout.lines().count(), 1, "{self:?}");
        value
    }

    /// Standard error without the note that other processes, such as this one, hold the ring open.
    pub(crate) fn unnoted(&self) -> String {
        self.stderr.split_inclusive('\n').filter(|line| !line.contains("the ring open without a claim")).collect()
    }

    /// Checks that the run failed with this status and said why, and returns what it said.
    pub(crate) fn failed(&self, status: i32) -> &str {
        assert_eq!(self.status, status, "{self:?}");
        assert!(!self.stderr.is_empty() && !self.stderr.contains("panicked"), "{self:?}");
        &self.stderr
    }
}

pub(crate) fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_user-ringbuf"))
}

/// Runs the command without input.
pub(crate) fn run(args: &[&str]) -> Run {
    Run::of(&command().args(args).stdin(Stdio::null()).output().unwrap())
}

/// Runs the command with this input.
pub(crate) fn run_with(args: &[&str], input: &[u8]) -> Run {
    let mut child =
        command().args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // A command that has given up no longer reads: the test does not fail for that.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().unwrap()
    });
    Run::of(&output)
}

/// Runs the command as user nobody without any capability, from a copy that every user may run. Runs it as this user if
/// that has no rights to give up.
pub(crate) fn run_without_rights(args: &[&str]) -> Run {
    if !rustix::process::geteuid().is_root() {
        return run(args);
    }
    let directory = Directory::new();
    let copy = directory.path("user-ringbuf");
    // Another process copies: a child that another test forks meanwhile would hold our copy open for writing, and the
    // kernel does not run such a file (ETXTBSY).
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_user-ringbuf")).arg(&copy).status().unwrap();
    assert!(copied.success());
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all", "--"])
        .arg(&copy)
        .args(args)
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .expect("setpriv, of util-linux");
    Run::of(&output)
}

/// A bpffs for one test, and rings pinned in it.
pub(crate) struct Bpffs(bpffs::Bpffs);

impl Bpffs {
    pub(crate) fn mount() -> Self {
        Self(bpffs::Bpffs::mount())
    }

    /// A ring of this size, pinned at `ring`.
    pub(crate) fn ring(&self, size: u64) -> Map {
        let map = Map::create("cli_test", size).unwrap();
        map.pin(self.path("ring")).unwrap();
        map
    }
}

impl Deref for Bpffs {
    type Target = bpffs::Bpffs;

    fn deref(&self) -> &bpffs::Bpffs {
        &self.0
    }
}

/// Drains a ring in the kernel, once, and returns the samples.
pub(crate) fn drain(map: &Map) -> Vec<Vec<u8>> {
    let size = usize::try_from(map.size()).unwrap();
    let mut program = DrainProgram::load(map, size).unwrap();
    let drained = program.run(&DrainOptions::new()).unwrap();
    let samples: Vec<Vec<u8>> = drained.samples().map(<[u8]>::to_vec).collect();
    assert_eq!(drained.returned().map(|count| usize::try_from(count).unwrap()), Ok(samples.len()));
    samples
}
