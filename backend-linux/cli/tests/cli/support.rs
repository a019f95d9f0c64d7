//! Running the command, with and without rights, and rings for it.

use std::io::{BufRead, BufReader, Read, Write};
use std::ops::Deref;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::sync::Arc;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use user_ringbuf_kit::bpffs;
use user_ringbuf_kit::rights::as_nobody;
use user_ringbuf_kit::soon_found;
use user_ringbuf_linux::{DrainOptions, DrainProgram, Map, Mapping, Producer};

use crate::watchdog::Watchdog;

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

    /// Checks that the run succeeded and said nothing on standard error.
    #[track_caller]
    pub(crate) fn quiet(self) -> Self {
        assert_eq!((self.status, self.stderr.as_str()), (0, ""), "{self:?}");
        self
    }

    /// Checks that the run failed with this status and said why, in these words. Returns all that it said.
    #[track_caller]
    pub(crate) fn failed(&self, status: i32, words: &[&str]) -> &str {
        assert_eq!(self.status, status, "{self:?}");
        assert!(!self.stderr.is_empty() && !self.stderr.contains("panicked"), "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "{word}: {self:?}");
        }
        &self.stderr
    }
}

/// Checks that an object has these fields, whatever else it has.
#[track_caller]
pub(crate) fn has(object: &Value, fields: Value) {
    let Value::Object(fields) = fields else { panic!("not fields: {fields}") };
    for (key, value) in fields {
        assert_eq!(object[&key], value, "{key} of {object}");
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
    let mut running = Running::start(args);
    running.write(input);
    running.finish()
}

/// Runs the command as user nobody without any capability. Runs it as this user if that has no rights to give up.
pub(crate) fn run_without_rights(args: &[&str]) -> Run {
    if !rustix::process::geteuid().is_root() {
        return run(args);
    }
    let (_copy, mut command) = as_nobody(env!("CARGO_BIN_EXE_user-ringbuf"));
    Run::of(&command.args(args).stdin(Stdio::null()).output().expect("setpriv, of util-linux"))
}

/// A command that goes on, with its standard streams at hand. It is killed if the test waits for it too long.
pub(crate) struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<BufReader<ChildStdout>>,
    stderr: BufReader<ChildStderr>,
    _watchdog: Watchdog,
}

impl Running {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::of(command().args(args))
    }

    pub(crate) fn of(command: &mut Command) -> Self {
        let [stdin, stdout, stderr] = [(); 3].map(|()| Stdio::piped());
        let mut child = command.stdin(stdin).stdout(stdout).stderr(stderr).spawn().unwrap();
        Self {
            stdin: child.stdin.take(),
            stdout: child.stdout.take().map(BufReader::new),
            stderr: BufReader::new(child.stderr.take().unwrap()),
            _watchdog: Watchdog::over(&child),
            child,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Gives it input. One that has given up no longer reads: the test does not fail for that.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let _ = self.stdin.as_mut().unwrap().write_all(bytes);
    }

    pub(crate) fn close_input(&mut self) {
        self.stdin = None;
    }

    pub(crate) fn close_output(&mut self) {
        self.stdout = None;
    }

    /// The next line on standard output.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.as_mut().unwrap().read_line(&mut line).unwrap();
        line
    }

    /// The next line on standard error, but for the note that this process holds the ring open.
    pub(crate) fn note(&mut self) -> String {
        loop {
            let mut line = String::new();
            self.stderr.read_line(&mut line).unwrap();
            if !line.contains("the ring open without a claim") {
                return line;
            }
        }
    }

    pub(crate) fn kill(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end, and returns what it printed since the last line that was read. Its input stays open until then.
    pub(crate) fn end(mut self) -> Run {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        std::thread::scope(|scope| {
            scope.spawn(|| self.stderr.read_to_string(&mut stderr).unwrap());
            self.stdout.as_mut().map(|rest| rest.read_to_string(&mut stdout).unwrap());
        });
        Run { status: self.child.wait().unwrap().code().expect("ended by itself"), stdout, stderr }
    }

    /// Ends its input, and waits for its end.
    pub(crate) fn finish(mut self) -> Run {
        self.close_input();
        self.end()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A bpffs for one test, and rings pinned in it.
pub(crate) struct Bpffs(bpffs::Bpffs);

impl Bpffs {
    pub(crate) fn mount() -> Self {
        Self(bpffs::Bpffs::mount())
    }

    /// A new one, with a ring of this size, and the path of its pin.
    pub(crate) fn with_ring(size: u64) -> (Self, Map, String) {
        let bpffs = Self::mount();
        let (map, path) = (bpffs.ring(size), bpffs.text("ring"));
        (bpffs, map, path)
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

/// A producer of the ring, until it and its samples are dropped.
pub(crate) fn producer(map: &Map) -> Producer<Arc<Mapping>> {
    Producer::attach(Arc::new(Mapping::new(map).unwrap())).unwrap()
}

/// Drains until something comes.
pub(crate) fn drain_soon(map: &Map) -> Vec<Vec<u8>> {
    soon_found("a sample", || Some(drain(map)).filter(|samples| !samples.is_empty()))
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
