"""What a row came to, read from its log."""

import re
from dataclasses import dataclass, field

from programs import Program

SUMMARY = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed;", re.M)
FAILED_TEST = re.compile(r"^test (\S+) \.\.\. FAILED", re.M)
C_TEST = re.compile(r"^ok \S", re.M)
FIGURES = re.compile(r"^\{.*\}$", re.M)
SKIPPED = re.compile(r"^skipped: (.*)$", re.M)
# What timeout(1) answers when the time is up, coreutils' and busybox's, by SIGTERM or SIGKILL.
TIMED_OUT = (124, 137, 143)


@dataclass
class Outcome:
    row: str
    machine: str
    kernel: str = ""
    page_size: int = 0
    passed: int = 0
    failures: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    seconds: int = 0
    emulated: bool = False

    def as_json(self) -> dict:
        return {
            "row": self.row,
            "kernel": self.kernel,
            "machine": self.machine,
            "page_size": self.page_size,
            "passed": self.passed,
            "failed": len(self.failures),
            "skipped": self.skipped,
            "failures": self.failures,
            "seconds": self.seconds,
        }

    def read(self, log: str, programs: list[Program]):
        """Counts what the log tells of: each test by itself, any other program as one."""
        log = log.replace("\r", "")
        facts = dict(re.findall(r"^@@ fact (\w+) (.*)$", log, re.M))
        self.kernel = facts.get("kernel", self.kernel)
        self.page_size = 1024 * int(facts.get("page_size") or 0)
        parts = dict(re.findall(r"^@@ begin (\S.*)\n((?:(?!@@ begin|@@ done).*\n)*)", log, re.M))
        for program in programs:
            if program.name not in parts:
                self.failures.append(f"{program.name}: never began")
                continue
            self.judge(program, parts[program.name])
        if programs and "\n@@ done" not in log:
            self.failures.append("the list did not come to its end")

    def judge(self, program: Program, said: str):
        end = re.search(r"^@@ end (\d+)$", said, re.M)
        if end is None:
            self.failures.append(f"{program.name}: did not end")
            return
        status = int(end[1])
        if program.timed and self.emulated and status == 1 and FIGURES.search(said):
            self.skipped.append(f"{program.name}: ran, but its figures mean nothing under emulation")
            return
        self.skipped += [reason for reason in dict.fromkeys(SKIPPED.findall(said)) if reason not in self.skipped]
        failed = [f"{program.name}: {test}" for test in FAILED_TEST.findall(said)]
        counted = SUMMARY.search(said)
        if counted:
            self.passed += int(counted[1])
        elif program.name.startswith("capi/"):
            self.passed += len(C_TEST.findall(said))
        elif status == program.status and (program.says is None or program.says in said):
            self.passed += 1
        if status != program.status and not failed:
            failed = [f"{program.name}: {'ran out of time' if status in TIMED_OUT else f'exit status {status}'}"]
        if program.says is not None and program.says not in said:
            failed.append(f"{program.name}: does not say '{program.says}'")
        if status == 0 and "panicked at" in said and not counted:
            failed.append(f"{program.name}: panicked")
        self.failures += failed
