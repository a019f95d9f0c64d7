#!/usr/bin/env python3
"""A row that can't run, or whose guest does not come to its end: each is told, and none passes."""

import subprocess
import sys
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path
from unittest import mock

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE))

import debian
import guest
from missing import Missing
from rows import ROWS

ROW = replace(next(row for row in ROWS if row.name == "s390x"), limit=1)
BEGINS = "echo '@@ fact kernel 1.2.3'"


class Folder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def program(self, name: str, script: str):
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)


class WithoutQemu(Folder):
    """The program as it is called, on a machine that has nothing."""

    def run_it(self, *words: str) -> subprocess.CompletedProcess:
        environment = {"PATH": "/nonexistent", "CARGO_TARGET_DIR": str(self.folder)}
        return subprocess.run([sys.executable, HERE / "run", *words], env=environment, capture_output=True, text=True)

    def test_a_row_that_cant_run_is_skipped_and_fails_if_it_is_required(self):
        for row in ROWS:
            for words, status in (([], 0), (["--require"], 1)):
                ran = self.run_it("--row", row.name, *words)
                self.assertEqual(ran.returncode, status, ran.stderr)
                self.assertIn(f"skipped: {row.name}: the whole row: ", ran.stderr)
                self.assertEqual(f"{row.name}: FAILED: " in ran.stderr, status == 1)
                self.assertIn(f"0 passed, {status} failed", ran.stdout)

    def test_wrong_usage_is_2(self):
        self.assertEqual(self.run_it("--row", "vax").returncode, 2)


class Guests(Folder):
    """Scripts in the place of QEMU."""

    def boots(self, script: str, accelerators=(("tcg", 1),)) -> tuple[str, str | None]:
        self.program("qemu", script)
        machine = replace(guest.MACHINES[ROW.debian], qemu=str(self.folder / "qemu"))
        log = self.folder / "log"
        with (
            mock.patch.dict(guest.MACHINES, {ROW.debian: machine}),
            mock.patch.object(guest, "accelerators", lambda row: list(accelerators)),
        ):
            return guest.in_a_guest(ROW, Path("kernel"), Path("files"), log)

    def pid_is_gone(self) -> bool:
        return not Path("/proc", (self.folder / "pid").read_text().strip()).exists()

    def test_a_kernel_that_hangs_as_it_boots_is_ended_and_fails(self):
        how, trouble = self.boots(f"echo $$ >{self.folder}/pid; exec sleep 1000")
        self.assertEqual(how, "tcg")
        self.assertIn("did not reach its first process within 1 s", trouble)
        self.assertTrue(self.pid_is_gone())

    def test_a_kernel_that_panics_as_it_boots_fails(self):
        self.assertIn("did not reach its first process", self.boots("echo 'Kernel panic'")[1])

    def test_a_guest_that_hangs_under_kvm_is_emulated(self):
        script = f'case "$*" in *kvm*) echo $$ >{self.folder}/pid; exec sleep 1000;; esac; {BEGINS}'
        self.assertEqual(self.boots(script, (("kvm", 1), ("tcg,thread=multi", 5))), ("tcg", None))
        self.assertTrue(self.pid_is_gone())

    def test_a_guest_that_does_not_end_is_ended_and_fails(self):
        how, trouble = self.boots(f"{BEGINS}; echo $$ >{self.folder}/pid; exec sleep 1000")
        self.assertIn("stopped after 1 s", trouble)
        self.assertTrue(self.pid_is_gone())


class Kernels(Folder):
    """An archive that has other packages than it should."""

    def archive(self, depends: dict[str, str], names: str = "", images: tuple[str, ...] = ()) -> debian.Archive:
        archive = debian.Archive(self.folder, "bookworm", "amd64")
        archive.fresh = True

        def apt(command: str, *words: str) -> str:
            return names if words[0] == "pkgnames" else depends.get(words[-1], "")

        def unpack(package: str, into: Path):
            if package.endswith("-gone"):
                raise Missing(f"{package}: 404")
            (into / "boot").mkdir(parents=True, exist_ok=True)
            if package in images:
                (into / "boot" / package.replace("linux-image", "vmlinuz")).touch()

        archive.apt, archive.unpack = apt, unpack
        return archive

    def test_a_release_without_a_kernel_is_missing(self):
        with self.assertRaisesRegex(Missing, "linux-image-cloud-amd64 names no kernel"):
            self.archive({}).kernel("linux-image-cloud-amd64")

    def test_a_package_without_an_image_is_missing(self):
        with self.assertRaisesRegex(Missing, "linux-image-6.1.0-2-cloud-amd64 holds no kernel image"):
            self.archive({"meta": "Depends: linux-image-6.1.0-2-cloud-amd64"}).kernel("meta")

    def test_the_newest_other_kernel_takes_the_place_of_one_that_cant_be_had(self):
        others = [f"linux-image-6.1.0-{abi}-cloud-amd64" for abi in (9, 10)] + ["linux-image-6.1.0-11-rt-amd64"]
        archive = self.archive(
            {"meta": "Depends: linux-image-6.1.0-12-cloud-amd64"}, " ".join(others), tuple(others)
        )
        image, release = archive.kernel("meta")
        self.assertEqual(release, "6.1.0-10-cloud-amd64")
        self.assertTrue(image.name.endswith(release))


unittest.main()
