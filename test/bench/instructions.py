#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Counts the instructions of an operation: of a kevent() call, and of the calls it is compared with.

    instructions.py                      the workloads of which all is one thread's own work
    instructions.py ring1k churn         these
    instructions.py --library DIR ...    with the libkqueue that is in DIR, to compare two builds
    instructions.py --functions 3 ...    and the three functions that take most of them
    instructions.py --check ...          status 1 if a workload takes more than is said in MOST

Each workload of kq_pairs runs twice under valgrind --tool=callgrind, with more operations the
second time. What the second run needs more is divided by the operations that it does more: so
neither starting the program nor making descriptors is counted, but the workload's own loop is. The number
does not depend on what the machine does otherwise. The kernel's instructions are not in it, and
without a vDSO, as under valgrind, reading a clock is a system call. A function has what is inlined
into it.
"""
import argparse
import collections
import pathlib
import re
import sys
import tempfile

import run

HERE = pathlib.Path(__file__).resolve().parent
MOST = {  # the limits of --check
    "poll_empty": 130, "ring1k": 200, "ring1k_et": 200, "ring1k_sock": 200, "pingpong": 450, "oneshot": 700,
    "dispatch": 610, "write_ready": 450, "churn": 700, "addmany": 500, "toggle": 300, "user_self": 450,
    "timer_add": 500, "timer_reset": 220, "vnode_event": 700, "signal": 800, "share1": 900,
}
FEW, MANY = 2_000, 6_000


def short(name):
    """A function's name without namespaces, arguments and attributes."""
    name = re.sub(r"\(anonymous namespace\)::|\[clone [^]]*\]|^.*?\]\] ", "", name)
    name = re.sub(r"\(.*|'\d+$", "", name).strip()
    name = re.sub(r"^\w+ (?=kq)|\bkq\w*::", "", name)
    is_workload = name.startswith(("Measurement ", "decltype"))  # a template, and the lambda that calls it
    return "(the workload)" if is_workload else name


def by_function(profile):
    """Instructions of each function, in whatever file they stand."""
    listing = run.output_of(["callgrind_annotate", "--threshold=100", "--auto=no", profile])
    found = collections.Counter()
    for line in listing.splitlines():
        row = re.match(r"\s*([\d,]+) \(\s*[\d.]+%\)\s+\S+?:(.+?)(?: \[/.*\])?$", line)
        if row:
            found[short(row[2])] += int(row[1].replace(",", ""))
    return found


def instructions(options, workload, variant, operations):
    """Those of a run, and those of each function if these are wanted."""
    with tempfile.NamedTemporaryFile() as profile:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={profile.name}",
                   options.build / "kq_pairs", workload, variant, str(operations)]
        errors = run.must_succeed(command, options.library).stderr
        found = re.search(r"Collected : (\d+)", errors)
        if not found:
            sys.exit(f"callgrind tells no number:\n{errors}")
        functions = by_function(profile.name) if options.functions and variant == "kq" else {}
    return int(found[1]), functions


def per_operation(options, workload, variant):
    few, functions_of_few = instructions(options, workload, variant, FEW)
    many, functions_of_many = instructions(options, workload, variant, MANY)
    more = {name: (count - functions_of_few.get(name, 0)) / (MANY - FEW)
            for name, count in functions_of_many.items()}
    dearest = sorted(more, key=more.get, reverse=True)[:options.functions]
    return round((many - few) / (MANY - FEW)), [f"{name} {more[name]:.0f}" for name in dearest if more[name] >= 1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", default=list(MOST))
    parser.add_argument("--build", type=pathlib.Path, default=HERE.parents[1] / "build/release/test/bench",
                        help="where kq_pairs is")
    parser.add_argument("--library", type=pathlib.Path, help="a directory with another libkqueue.so.0")
    parser.add_argument("--functions", type=int, default=0, metavar="N", help="show the N functions that take most")
    parser.add_argument("--check", action="store_true", help="fail if there are more than there should be")
    options = parser.parse_args()
    listed = bool(options.functions)
    over = []
    print("| workload | raw | kq |" + " most of it |" * listed + "\n| --- | --- | --- |" + " --- |" * listed)
    for workload in options.workloads:
        raw, _ = per_operation(options, workload, "raw")
        kq, dearest = per_operation(options, workload, "kq")
        print(f"| {workload} | {raw:,} | {kq:,} |" + f" {', '.join(dearest)} |" * listed, flush=True)
        if options.check and kq > MOST[workload]:
            over.append(f"{workload}: {kq:,} instructions, but {MOST[workload]:,} at most")
    if over:
        sys.exit("\n".join(over))


if __name__ == "__main__":
    main()
