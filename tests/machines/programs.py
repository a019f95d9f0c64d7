"""What runs on each row: built for its target, with the files that it needs, and as a list for the guest."""

import json
import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from missing import Missing
from rows import LINKERS

# Whose tests run, and which integration tests of them: those that know a kernel; on s390x, those of the bytes.
TESTS = {
    "all": [(["linux", "cli", "tests"], "*")],
    "big-endian": [(["core", "sim"], "*"), (["tests"], "bytes_by_hand")],
}
# Tests that don't run: `examples` starts cargo, which guests have not; what `fidelity` does, `kernel-vs-sim` does for longer;
# `pages` reads the whole tree.
LEFT_OUT = {"examples", "fidelity", "pages"}
# What `--short` leaves out besides where the tests are emulated: these take minutes there.
LONG = {"corpora", "hostile_memory", "hostile_positions"}
C_TESTS = {
    "contract": ["contract.c"],
    "contract_prefixed": ["contract.c", "-DPREFIXED"],
    "selftest": ["selftest.c"],
    "extra": ["extra.c"],
    "threads": ["threads.c"],
}


@dataclass
class Program:
    name: str
    command: list[str]
    folder: Path
    limit: int = 300
    # Exit status and words that the program must end with, where it is meant to fail.
    status: int = 0
    says: str | None = None
    # Judges processor time, which under emulation says nothing.
    timed: bool = False


@dataclass
class Built:
    """What was built for one target."""

    tests: list[Program] = field(default_factory=list)
    binaries: dict[str, Path] = field(default_factory=dict)
    c_tests: list[Program] = field(default_factory=list)

    def files(self) -> list[Path]:
        programs = [Path(program.command[0]) for program in self.tests + self.c_tests]
        return programs + list(self.binaries.values())


class Builder:
    """Builds for one target, in a target folder that the rows share."""

    def __init__(self, repository: Path, target: str):
        self.repository, self.target = repository, target
        self.folder = Path(os.environ.get("CARGO_TARGET_DIR", repository / "target")).absolute() / "machines" / "build"
        self.linker, package = LINKERS[target]
        if package and shutil.which(self.linker) is None:
            raise Missing(f"{self.linker} is not installed (Debian's {package})")
        added = subprocess.run(["rustup", "target", "add", target], capture_output=True, text=True)
        if added.returncode:
            raise Missing(f"rustup has no {target}: {added.stderr.strip().splitlines()[-1]}")
        name = target.upper().replace("-", "_")
        self.environment = os.environ | {
            f"CARGO_TARGET_{name}_LINKER": self.linker,
            f"CARGO_TARGET_{name}_RUSTFLAGS": "-C target-feature=+crt-static",
            "CARGO_TARGET_DIR": str(self.folder),
        }

    def cargo(self, *words: str) -> list[dict]:
        command = ["cargo", *words, "--locked", "--target", self.target, "--message-format", "json-render-diagnostics"]
        run = subprocess.run(command, cwd=self.repository, env=self.environment, stdout=subprocess.PIPE, text=True)
        if run.returncode:
            raise RuntimeError(f"building for {self.target} failed: {shlex.join(command)}")
        messages = (json.loads(line) for line in run.stdout.splitlines() if line.startswith("{"))
        return [message for message in messages if message["reason"] == "compiler-artifact"]

    def build(self, programs: str) -> Built:
        """The command, and the tests and programs that go with it."""
        built = Built()
        if programs != "all":
            self.add(built, "build", "-p", "user-ringbuf-cli")
        for packages, tests in TESTS.get(programs, []):
            words = [word for package in packages for word in ("-p", f"user-ringbuf-{package}")]
            if "linux" in packages:
                words += ["--features", "user-ringbuf-linux/async-io,user-ringbuf-linux/tokio"]
            self.add(built, "test", "--no-run", "--lib", "--test", tests, *words)
        if programs == "all":
            self.c_library(built)
        return built

    def add(self, built: Built, *words: str):
        for artifact in self.cargo(*words, "--profile", "machines"):
            if not artifact["executable"]:
                continue
            executable, name = Path(artifact["executable"]), artifact["target"]["name"]
            if not artifact["profile"]["test"]:
                built.binaries[name] = executable
            elif name not in LEFT_OUT:
                folder = Path(artifact["manifest_path"]).parent
                package = folder.name if artifact["target"]["kind"] == ["lib"] else f"{folder.name}/tests"
                built.tests.append(Program(f"{package}/{name}", [str(executable)], folder, 900))

    def c_library(self, built: Built):
        capi = self.repository / "backend-linux" / "capi"
        self.cargo(
            "rustc", "-p", "user-ringbuf-capi", "--lib", "--crate-type", "staticlib", "--profile", "capi",
            "--no-default-features", "--features", "libbpf-names",
        )
        library = self.folder / self.target / "capi" / "libuser_ringbuf.a"
        for name, (source, *flags) in C_TESTS.items():
            output = self.folder / self.target / "capi" / name
            sources = [capi / "tests" / source, capi / "tests" / "check.c"]
            subprocess.run(
                [self.linker, "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-static", *flags, "-I", capi, "-o", output,
                 *sources, library, "-pthread"],
                check=True,
            )
            built.c_tests.append(Program(f"capi/{name}", [str(output)], capi))


def chosen(row, built: Built, repository: Path, short: bool) -> list[Program]:
    """The programs of a row, in their order."""
    home = repository

    def binary(name: str, *words: str, limit: int = 600, **expected) -> Program:
        label = name if name != "user-ringbuf" else " ".join(words[:3]) if words[0] == "demo" else words[0]
        return Program(label, [str(built.binaries[name]), *words], home, limit, **expected)

    demo = binary("user-ringbuf", "demo", "--samples", "100000", "--json")
    if row.programs == "demo":
        return [binary("user-ringbuf", "probe"), demo]
    if row.programs == "too-old":
        too_old = "it came with Linux 6.1"
        pin = ["--pin", "/sys/fs/bpf/ring", "--size", "4096"]
        return [
            binary("user-ringbuf", "probe", says=too_old),
            binary("user-ringbuf", "create", *pin, status=1, says=too_old),
            binary("user-ringbuf", "demo", "--backend", "linux", "--samples", "1000", status=1, says=too_old),
            binary("user-ringbuf", "demo", "--samples", "1000", "--json"),
        ]
    if row.programs == "big-endian":
        ring = ["--pin", "/sys/fs/bpf/ring"]
        command = shlex.quote(str(built.binaries["user-ringbuf"]))
        return [
            binary("user-ringbuf", "probe", says="built without (CONFIG_BPF_JIT)"),
            binary("user-ringbuf", "create", *ring, "--size", "64K"),
            Program("send", ["sh", "-c", f"printf 'a\\nbb\\n' | {command} send {' '.join(ring)}"], home),
            binary("user-ringbuf", "inspect", *ring, says="the kernel can drain all 2 records"),
            binary("user-ringbuf", "demo", "--backend", "sim", "--samples", "100000", "--json"),
            *built.tests,
        ]
    tests = [test for test in built.tests if not (short and row.suite and test.name.split("/")[-1] in LONG)]
    images = "20000" if short else "200000"
    return [
        demo,
        binary("kernel-vs-sim", "--images", images, "--seed", str(int.from_bytes(os.urandom(4))), "--json", limit=1200),
        binary("stress", "--samples", "20000" if short else "100000", "--json"),
        binary("crash", "--kills", "40" if short else "200", "--json"),
        binary("second-producer", "--turns", "300" if short else "1000", "--json"),
        binary("wait-cost", "--json", timed=True),
        *built.c_tests,
        *tests,
    ]
