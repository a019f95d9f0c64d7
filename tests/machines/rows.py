"""The rows of the matrix: which kernel, on which machine, and what runs there."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    name: str
    # Rust's target, and Debian's name for the processor.
    target: str
    debian: str
    # What runs: a name in programs.py.
    programs: str
    # The Debian release and the package that depends on its newest kernel; without one, the row runs on this very kernel.
    suite: str | None = None
    image: str | None = None
    # Seconds for everything that runs, the boot aside. Emulation is slow, and slower on a busy machine.
    limit: int = 1800
    # Part of `--short`.
    short: bool = False


ROWS = [
    Row("x86-64-6.1", "x86_64-unknown-linux-gnu", "amd64", "all", "bookworm", "linux-image-cloud-amd64"),
    Row("x86-64-6.12", "x86_64-unknown-linux-gnu", "amd64", "all", "trixie", "linux-image-cloud-amd64"),
    Row("x86-64-newest", "x86_64-unknown-linux-gnu", "amd64", "all", "sid", "linux-image-cloud-amd64"),
    Row("x86-64-5.10", "x86_64-unknown-linux-gnu", "amd64", "too-old", "bullseye", "linux-image-cloud-amd64"),
    Row("i686", "i686-unknown-linux-gnu", "i386", "all", short=True),
    Row("arm64", "aarch64-unknown-linux-gnu", "arm64", "all", "bookworm", "linux-image-arm64", limit=3000),
    Row("arm64-16k", "aarch64-unknown-linux-gnu", "arm64", "all", "trixie", "linux-image-arm64-16k", limit=3000),
    Row("ppc64el-64k", "powerpc64le-unknown-linux-gnu", "ppc64el", "all", "bookworm", "linux-image-powerpc64le", limit=3000),
    Row("s390x", "s390x-unknown-linux-gnu", "s390x", "big-endian", "bookworm", "linux-image-s390x"),
    Row("musl-x86-64", "x86_64-unknown-linux-musl", "amd64", "demo", "bookworm", "linux-image-cloud-amd64", short=True),
    Row("musl-arm64", "aarch64-unknown-linux-musl", "arm64", "demo", "bookworm", "linux-image-arm64"),
]


@dataclass(frozen=True)
class Machine:
    """How QEMU plays a processor of Debian's name."""

    qemu: str
    options: list[str]
    console: str


MACHINES = {
    "amd64": Machine("qemu-system-x86_64", ["-cpu", "max"], "ttyS0"),
    "arm64": Machine("qemu-system-aarch64", ["-machine", "virt", "-cpu", "cortex-a76"], "ttyAMA0"),
    "ppc64el": Machine("qemu-system-ppc64", ["-machine", "pseries", "-cpu", "POWER9"], "hvc0"),
    "s390x": Machine("qemu-system-s390x", ["-machine", "s390-ccw-virtio"], "ttysclp0"),
}

# The linkers that link for another processor, and their Debian packages.
LINKERS = {
    "x86_64-unknown-linux-gnu": ("gcc", "gcc"),
    "i686-unknown-linux-gnu": ("i686-linux-gnu-gcc", "gcc-i686-linux-gnu"),
    "aarch64-unknown-linux-gnu": ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
    "powerpc64le-unknown-linux-gnu": ("powerpc64le-linux-gnu-gcc", "gcc-powerpc64le-linux-gnu"),
    "s390x-unknown-linux-gnu": ("s390x-linux-gnu-gcc", "gcc-s390x-linux-gnu"),
    # musl's own start files and library come with the target.
    "x86_64-unknown-linux-musl": ("rust-lld", None),
    "aarch64-unknown-linux-musl": ("rust-lld", None),
}
