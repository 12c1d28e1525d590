#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Shows that an operation costs the same however many descriptors a kqueue watches.

    flat.py PROGRAM [DESCRIPTORS...]      default: 1000 and 100000

PROGRAM is kq_sim_flat. It runs under valgrind --tool=callgrind. Counted are the instructions of functions of src/, without those of the simulated system and
of the C library. What a run needs more than one without operations is divided by the operations.
Fails if an operation costs more than a twentieth more with the most descriptors than with the
fewest.
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SOURCES = pathlib.Path(__file__).resolve().parents[2] / "src"
OPERATIONS = ["add", "modify", "silence", "fire"]
COUNT = 1_000
TOLERANCE = 1.05


def cost_of_sources(profile):
    """Sums the self cost of all lines of files in src/ in the format that callgrind writes."""
    names, total, ours, called = {}, 0, False, False
    for line in profile.splitlines():
        found = re.match(r"(fl|fi|fe)=\((\d+)\)(?: (.*))?$", line)
        if found:
            if found.group(3):
                names[found.group(2)] = found.group(3)
            path = names.get(found.group(2), "")
            ours = path.startswith("/") and pathlib.Path(path).resolve().is_relative_to(SOURCES)
        elif line.startswith("calls="):
            called = True  # the next line is the inclusive cost of a call
        elif re.match(r"[+\-*\d]", line):
            if ours and not called:
                total += int(line.split()[1])
            called = False
        else:
            found = re.match(r"cfi=\((\d+)\) (.*)$|cfl=\((\d+)\) (.*)$", line)
            if found:
                names[found.group(1) or found.group(3)] = found.group(2) or found.group(4)
    return total


def instructions(program, descriptors, operation, count):
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out.name}", "--compress-pos=no",
                        program, str(descriptors), operation, str(count)], check=True, stderr=subprocess.DEVNULL)
        return cost_of_sources(pathlib.Path(out.name).read_text())


def main():
    if shutil.which("valgrind") is None:
        sys.exit(77)  # skipped
    program, sizes = sys.argv[1], [int(n) for n in sys.argv[2:]] or [1_000, 100_000]
    print("| operation | " + " | ".join(f"{n:,} descriptors" for n in sizes) + " |")
    print("| --- |" + " --- |" * len(sizes))
    failed = False
    nothing = [instructions(program, size, "add", 0) for size in sizes]
    for operation in OPERATIONS:
        costs = [(instructions(program, size, operation, COUNT) - idle) / COUNT
                 for size, idle in zip(sizes, nothing)]
        print(f"| {operation} | " + " | ".join(f"{cost:,.0f}" for cost in costs) + " |", flush=True)
        if costs[0] < 50:
            sys.exit(f"{operation}: {costs[0]:.0f} instructions cannot be all")
        failed = failed or costs[-1] > costs[0] * TOLERANCE
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
