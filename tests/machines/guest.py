"""A guest: its files in memory, a kernel, and QEMU; or a row on this very kernel."""

import platform
import shlex
import shutil
import subprocess
import time
from pathlib import Path

from debian import Archive
from missing import Missing
from programs import Program
from rows import MACHINES, Row

HERE = Path(__file__).resolve().parent / "guest"
# Until init has begun. With KVM it takes a second or two.
BOOT_LIMIT = 300
KVM_LIMIT = 10
MEMORY = "4G"


def write_list(programs: list[Program], path: Path):
    path.write_text(
        "".join(shlex.join(["run", program.name, str(program.limit), str(program.folder), *program.command]) + "\n" for program in programs)
    )


def natively(row: Row, programs: list[Program], environment: dict, log: Path, work: Path):
    """Runs the list on this kernel."""
    write_list(programs, work / "list")
    with log.open("w") as output:
        try:
            subprocess.run(
                ["sh", HERE / "run-list"], env=environment | {"LIST": str(work / "list")},
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, timeout=row.limit,
            )
        except subprocess.TimeoutExpired:
            output.write(f"\nstopped after {row.limit} s\n")


def initramfs(programs: list[Program], files: list[Path], data: list[Path], environment: dict, tools: Archive, work: Path) -> Path:
    """The guest's files, each at the path that it has here: tests know some of these paths."""
    root = work / "root"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    for package in ("libc6", "libcap-ng0"):
        tools.unpack(package, root)
    # What busybox runs is its own, setpriv too, so the shell is dash and unshare the real one.
    tool = (("busybox-static", "bin/busybox", "bin/busybox"), ("util-linux", "usr/bin/setpriv", "usr/bin/setpriv"),
            ("util-linux", "usr/bin/unshare", "usr/bin/unshare"), ("dash", "bin/dash", "bin/sh"))
    for package, source, name in tool:
        tools.unpack(package, work / package)
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(work / package / source, root / name)
    for folder in ("usr/share/doc", "usr/lib/locale"):
        shutil.rmtree(root / folder, ignore_errors=True)
    for name in ("init", "run-list"):
        shutil.copy2(HERE / name, root / name)
    write_list(programs, root / "list")
    (root / "environment").write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items()))
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
    (root / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")
    for path in {program.folder for program in programs}:
        (root / path.relative_to("/")).mkdir(parents=True, exist_ok=True)
    for path in {*files, *data}:
        to = root / path.relative_to("/")
        to.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if path.is_dir() else shutil.copy2)(path, to)
    return pack(root, work / "initramfs")


def pack(root: Path, image: Path) -> Path:
    if shutil.which("cpio") is None:
        raise Missing("cpio is not installed (Debian's cpio)")
    names = subprocess.run(["find", ".", "-print0"], cwd=root, capture_output=True, check=True).stdout
    with image.open("wb") as output:
        subprocess.run(["cpio", "--null", "-o", "-H", "newc", "--quiet", "-R", "0:0"], cwd=root, input=names, stdout=output, check=True)
    return image


def find_qemu(row: Row):
    name = MACHINES[row.debian].qemu
    if shutil.which(name) is None:
        raise Missing(f"{name} is not installed (Debian's qemu-system)")


def qemu(row: Row, accelerator: str, kernel: Path, files: Path, log: Path) -> subprocess.Popen:
    machine = MACHINES[row.debian]
    command = [
        "nice", machine.qemu, *machine.options, "-accel", accelerator, "-m", MEMORY, "-smp", "2",
        "-display", "none", "-nodefaults", "-no-reboot", "-serial", "stdio", "-kernel", kernel, "-initrd", files,
        "-append", f"console={machine.console} panic=-1 quiet",
    ]
    with log.open("w") as output:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)


def has_begun(log: Path) -> bool:
    return "@@ fact" in log.read_text(errors="replace")


def boot(row: Row, accelerator: str, limit: int, kernel: Path, files: Path, log: Path) -> subprocess.Popen | None:
    """A guest whose init has begun, or nothing after `limit` seconds."""
    guest = qemu(row, accelerator, kernel, files, log)
    end = time.monotonic() + limit
    while time.monotonic() < end and guest.poll() is None:
        time.sleep(0.2)
        if has_begun(log):
            return guest
    if has_begun(log):
        return guest
    stop(guest)
    return None


def stop(guest: subprocess.Popen):
    guest.terminate()
    try:
        guest.wait(10)
    except subprocess.TimeoutExpired:
        guest.kill()
        guest.wait()


def accelerators(row: Row) -> list[tuple[str, int]]:
    emulated = ("tcg,thread=multi", BOOT_LIMIT)
    same = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine()) == row.debian
    return [("kvm", KVM_LIMIT), emulated] if same and Path("/dev/kvm").exists() else [emulated]


def in_a_guest(row: Row, kernel: Path, files: Path, log: Path) -> tuple[str, str | None]:
    """Boots and waits for the end. Returns how the guest ran, and what went wrong with it as a whole."""
    for accelerator, limit in accelerators(row):
        guest = boot(row, accelerator, limit, kernel, files, log)
        if guest is not None:
            break
    how = accelerator.split(",")[0]
    if guest is None:
        return how, f"the kernel did not reach its first process within {limit} s, or ended before"
    try:
        guest.wait(row.limit)
    except subprocess.TimeoutExpired:
        stop(guest)
        return how, f"stopped after {row.limit} s"
    return how, None
