"""Kernels and small tools from Debian's archive, for any processor, with apt's signatures checked and without installing."""

import re
import subprocess
from pathlib import Path

from missing import Missing

MIRROR = "http://deb.debian.org/debian"
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"


class Archive:
    """One release of Debian for one processor, in an apt root of its own."""

    def __init__(self, cache: Path, suite: str, debian: str):
        self.suite, self.debian = suite, debian
        self.root = cache / f"{suite}-{debian}"
        for folder in ("lists/partial", "cache/archives/partial", "debs"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        sources = self.root / "sources.list"
        sources.write_text(f"deb [signed-by={KEYS}] {MIRROR} {suite} main\n")
        options = {
            "Dir::Etc::SourceList": sources,
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::State::Lists": self.root / "lists",
            "Dir::State::Status": "/dev/null",
            "Dir::Cache": self.root / "cache",
            "APT::Architecture": debian,
            "APT::Architectures::": debian,
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
            "Acquire::Retries": 2,
        }
        self.options = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        self.fresh = False

    def apt(self, command: str, *words: str) -> str:
        try:
            run = subprocess.run(
                [command, *self.options, *words], cwd=self.root / "debs", capture_output=True, text=True, timeout=600
            )
        except (FileNotFoundError, subprocess.TimeoutExpired) as error:
            raise Missing(f"Debian's {self.suite} for {self.debian}: {error}") from error
        if run.returncode:
            said = (run.stderr.strip() or "it says nothing").splitlines()[0]
            raise Missing(f"Debian's {self.suite} for {self.debian}: {command} {' '.join(words)}: {said}")
        return run.stdout

    def update(self):
        if not self.fresh:
            self.apt("apt-get", "update", "-qq", "--error-on=any")
            self.fresh = True

    def download(self, package: str) -> Path:
        """The package's file, which is downloaded at most once per version."""
        self.update()
        for word in self.apt("apt-cache", "show", "--no-all-versions", package).splitlines():
            if word.startswith("Filename: "):
                # apt-get writes the colon of an epoch as %3a.
                name = re.escape(word.split("/")[-1].removesuffix(".deb"))
        pattern = re.compile(name.replace("_", "_(?:[0-9]+%3a)?", 1) + r"\.deb")
        have = lambda: next((path for path in (self.root / "debs").iterdir() if pattern.fullmatch(path.name)), None)
        if have() is None:
            self.apt("apt-get", "download", package)
        path = have()
        if path is None:
            raise Missing(f"Debian's {self.suite} for {self.debian}: {package} was downloaded under another name")
        return path

    def unpack(self, package: str, into: Path):
        subprocess.run(["dpkg-deb", "--extract", self.download(package), into], check=True)

    def kernel(self, meta: str) -> tuple[Path, str]:
        """The newest kernel that `meta` leads to and that can be had: its image, and its release."""
        self.update()
        pattern = re.compile(r"linux-image-\d.*")
        depends = self.apt("apt-cache", "depends", "--no-recommends", "--no-suggests", meta).split()
        newest = next((word for word in depends if pattern.fullmatch(word)), None)
        if newest is None:
            raise Missing(f"Debian's {self.suite} for {self.debian}: {meta} names no kernel")
        # While the archive is updated its newest package may be missing: then the one before.
        flavour = re.sub(r"linux-image-[\d.]+(?:-\d+)?(?:\+deb[\d.]+)?", "", newest)
        others = [
            name
            for name in self.apt("apt-cache", "pkgnames", "linux-image-").split()
            if name != newest and re.fullmatch(r"linux-image-[\d.]+(?:-\d+)?(?:\+deb[\d.]+)?" + re.escape(flavour), name)
        ]
        numbers = lambda name: [int(number) for number in re.findall(r"\d+", name.removesuffix(flavour))]
        refused = None
        for name in [newest, *sorted(others, key=numbers, reverse=True)]:
            try:
                return self.image(name), name.removeprefix("linux-image-")
            except Missing as error:
                refused = refused or error
        raise refused

    def image(self, package: str) -> Path:
        release = package.removeprefix("linux-image-")
        folder = self.root / "boot"
        # The image may be in a package of its own that this one depends on.
        depends = self.apt("apt-cache", "depends", "--no-recommends", "--no-suggests", package).split()
        for name in [package, *(word for word in depends if word.startswith("linux-") and word.endswith(release))]:
            self.unpack(name, folder)
            for found in [*folder.glob(f"**/vmlinu[xz]-{release}"), *folder.glob(f"**/{release}/vmlinu[xz]")]:
                return found
        raise Missing(f"Debian's {self.suite} for {self.debian}: {package} holds no kernel image")
