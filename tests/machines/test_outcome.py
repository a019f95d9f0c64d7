#!/usr/bin/env python3
"""What a log comes to: nothing that went wrong in a guest may count as passed."""

import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

from outcome import Outcome
from programs import Program

FACTS = "\r\n@@ fact kernel 6.1.0\r\n@@ fact page_size 64\r\n"


def program(name: str, **expected) -> Program:
    return Program(name, ["/x"], Path("/"), **expected)


def read(log: str, *programs: Program) -> Outcome:
    outcome = Outcome("row", "machine")
    outcome.read(FACTS + log, list(programs))
    return outcome


def ran(name: str, said: str, status: int) -> str:
    return f"@@ begin {name}\r\n{said}\r\n\r\n@@ end {status}\r\n"


class Outcomes(unittest.TestCase):
    def test_each_test_counts_and_each_program_as_one(self):
        log = ran("cli/cli", "test result: ok. 7 passed; 0 failed; 0 ignored", 0) + ran("demo", "{}", 0)
        log += ran("capi/extra", "ok one\r\nok two", 0) + "@@ done\r\n"
        outcome = read(log, program("cli/cli"), program("demo"), program("capi/extra"))
        self.assertEqual((outcome.passed, outcome.failures), (10, []))
        self.assertEqual((outcome.kernel, outcome.page_size), ("6.1.0", 65536))

    def test_failures_are_named(self):
        log = ran("cli/cli", "test a::b ... FAILED\r\ntest result: FAILED. 6 passed; 1 failed; 0 ignored", 101)
        log += ran("demo", "", 1) + ran("stress", "", 143) + ran("crash", "", 127) + "@@ done\r\n"
        outcome = read(log, *map(program, ("cli/cli", "demo", "stress", "crash")))
        self.assertEqual(outcome.passed, 6)
        self.assertEqual(
            outcome.failures,
            ["cli/cli: a::b", "demo: exit status 1", "stress: ran out of time", "crash: exit status 127"],
        )

    def test_an_end_before_the_end_is_a_failure(self):
        begun = read("@@ begin demo\r\n", program("demo"), program("stress"))
        self.assertEqual(
            begun.failures, ["demo: did not end", "stress: never began", "the list did not come to its end"]
        )
        self.assertEqual(begun.passed, 0)

    def test_a_program_that_must_fail_must_say_why(self):
        too_old = program("probe", status=1, says="needs Linux 6.1")
        done = "@@ done\r\n"
        self.assertEqual(read(ran("probe", "it needs Linux 6.1", 1) + done, too_old).passed, 1)
        self.assertEqual(read(ran("probe", "it needs Linux 6.1", 0) + done, too_old).failures, ["probe: exit status 0"])
        self.assertEqual(
            read(ran("probe", "something else", 1) + done, too_old).failures, ["probe: does not say 'needs Linux 6.1'"]
        )

    def test_what_a_program_skipped_is_told(self):
        outcome = read(ran("demo", "skipped: needs CAP_BPF\r\nskipped: needs CAP_BPF", 0) + "@@ done\r\n", program("demo"))
        self.assertEqual(outcome.skipped, ["needs CAP_BPF"])

    def test_processor_time_is_judged_on_hardware_only(self):
        log, timed = FACTS + ran("wait-cost", "{}", 1) + "@@ done\r\n", program("wait-cost", timed=True)
        for emulated, failures in ((False, ["wait-cost: exit status 1"]), (True, [])):
            outcome = Outcome("row", "machine", emulated=emulated)
            outcome.read(log, [timed])
            self.assertEqual((outcome.failures, len(outcome.skipped)), (failures, int(emulated)))
        failed = Outcome("row", "machine", emulated=True)
        failed.read(FACTS + ran("wait-cost", "there should be no room", 1) + "@@ done\r\n", [timed])
        self.assertEqual(failed.failures, ["wait-cost: exit status 1"])


unittest.main()
