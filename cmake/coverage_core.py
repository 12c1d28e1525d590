#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""usage: coverage_core.py <source dir> <build dir>

What the tests reached of the core, src/*.cc and src/*.h, wherever it was compiled in: lines and
branches, and those that were not reached. Each has to stand in coverage_unreached.txt with the
reason; one that does not ends this with 1. Left out: branches of exceptions, and the checks of
invariants, which no test may fail. Needs gcovr.
"""
import json
import os
import subprocess
import sys


def read_reasons(path):
    """(file, text of the line): which reason, its number."""
    known, reasons = {}, []
    for line in open(path):
        line = line.rstrip("\n")
        if line.startswith("= "):
            reasons.append(line[2:])
        elif line and not line.startswith("#"):
            name, text = line.split(": ", 1)
            known[(name, text.strip())] = len(reasons) - 1
    return known, reasons


def collect(source, build):
    out = subprocess.run(
        ["gcovr", "-r", source, "--filter", source + r"/src/[a-z_]*\.(cc|h)$", "--json",
         "--exclude-throw-branches", build],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
    return json.loads(out)["files"]


def main(source, build):
    source = os.path.realpath(source)
    here = os.path.dirname(os.path.realpath(__file__))
    known, reasons = read_reasons(os.path.join(here, "coverage_unreached.txt"))
    lines, branches, missed, unexplained = [0, 0], [0, 0], [0] * len(reasons), []
    for entry in collect(source, os.path.realpath(build)):
        name = os.path.basename(entry["file"])
        text = open(os.path.join(source, "src", name)).read().split("\n")
        for line in entry["lines"]:
            if line.get("gcovr/noncode"):
                continue
            code = text[line["line_number"] - 1].strip()
            lines[0] += line["count"] > 0
            lines[1] += 1
            ways = [] if "KQ_CHECK" in code else [
                b["count"] for b in line.get("branches", []) if not b.get("throw")]
            branches[0] += sum(count > 0 for count in ways)
            branches[1] += len(ways)
            if line["count"] > 0 and all(ways):
                continue
            reason = known.get((name, code))
            if reason is None:
                unexplained.append(f"{name}:{line['line_number']}: {code}")
            else:
                missed[reason] += 1
    print(f"core: {lines[0]} of {lines[1]} lines, {branches[0]} of {branches[1]} branches")
    for count, reason in zip(missed, reasons):
        print(f"{count:4} lines: {reason}")
    for line in unexplained:
        print("not reached, and not explained:", line)
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
