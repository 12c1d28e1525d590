#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Counts the instructions of an operation: of a kevent() call, and of the calls it is compared with.

    instructions.py                      the workloads of which all is one thread's own work
    instructions.py ring1k churn         these
    instructions.py --library DIR ...    with the libkqueue that is in DIR, to compare two builds

Each workload of kq_pairs runs twice under valgrind --tool=callgrind, with more operations the
second time. What the second run needs more is divided by the operations that it does more: so
neither starting the program nor making descriptors is counted, but the workload's own loop is. The number
does not depend on what the machine does otherwise. The kernel's instructions are not in it, and
without a vDSO, as under valgrind, reading a clock is a system call.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
USUAL = [
    "poll_empty", "ring1k", "ring1k_et", "ring1k_sock", "pingpong", "oneshot", "dispatch", "write_ready", "churn",
    "addmany", "toggle", "user_self", "timer_add", "timer_reset", "vnode_event", "signal", "share1",
]
FEW, MANY = 2_000, 6_000


def instructions(options, workload, variant, operations):
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", str(options.build / "kq_pairs"),
               workload, variant, str(operations)]
    environment = dict(os.environ)
    if options.library:
        environment["LD_LIBRARY_PATH"] = str(options.library)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not found:
        sys.exit(f"{' '.join(command)}: status {done.returncode}\n{done.stderr}")
    return int(found.group(1))


def per_operation(options, workload, variant):
    few = instructions(options, workload, variant, FEW)
    return round((instructions(options, workload, variant, MANY) - few) / (MANY - FEW))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", default=USUAL)
    parser.add_argument("--build", type=pathlib.Path, default=HERE.parents[1] / "build/release/test/bench",
                        help="where kq_pairs is")
    parser.add_argument("--library", type=pathlib.Path, help="a directory with another libkqueue.so.0")
    options = parser.parse_args()
    print("| workload | raw | kq |\n| --- | --- | --- |")
    for workload in options.workloads:
        counts = [per_operation(options, workload, variant) for variant in ("raw", "kq")]
        print(f"| {workload} | {counts[0]:,} | {counts[1]:,} |", flush=True)


if __name__ == "__main__":
    main()
