#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs the benchmarks side by side with the bare kernel interface and compares.

    run.py                          all: tables on standard output, plot in the current directory
    run.py ring1k churn             these workloads only
    run.py --only ops --plot x.svg  single operations and their plot only
    run.py --save r.json            ... and keep what was measured
    run.py --load r.json --markdown ... print or draw it again
    run.py --before DIR ...             beside another build, whose libkqueue.so.0 is in DIR

Of each workload the variants are run in turn, ROUNDS times; a ratio is the median of the
rounds' ratios, so that what the machine does otherwise hits both sides. Needs only Python 3.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

import plot

HERE = pathlib.Path(__file__).resolve().parent
CONNECTIONS = [  # what kq_connections is run with
    ["-n", "1000", "-a", "100"],
    ["-n", "9000", "-a", "100"],
    ["-n", "9000", "-a", "100", "-t"],
]
QUICK_CONNECTIONS = [["-n", "100", "-a", "10", "-s", "0.05"], ["-n", "20", "-a", "5", "-s", "0.05", "-t"]]


def launch(command, library=None):
    """Runs a program, with the libkqueue that is in the directory `library` if there is one."""
    environment = {**os.environ, "LD_LIBRARY_PATH": str(library)} if library else None
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def must_succeed(command, library=None):
    done = launch(command, library)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stderr}")
    return done


def output_of(command, library=None):
    """Standard output of a program that must succeed."""
    return must_succeed(command, library).stdout


def say(text):
    print(text, file=sys.stderr, flush=True)


# ---- measuring ----


def measure_pairs(options):
    program = options.build / "kq_pairs"
    table = [json.loads(line) for line in output_of([program, "--list"]).splitlines()]
    unknown = set(options.workloads) - {w["workload"] for w in table}
    if unknown:
        sys.exit(f"no such workload: {', '.join(sorted(unknown))}")
    if options.workloads:
        table = [w for w in table if w["workload"] in options.workloads]
    for workload in table:
        workload["runs"] = {v: [] for v in ("raw", "fair", "kq") if v != "fair" or workload["fair"]}
        if options.before:  # unless the workload needs what that library has not
            trial = [program, workload["workload"], "kq", str(workload["quick"])]
            if launch(trial, options.before).returncode == 0:
                workload["runs"]["before"] = []
    for round_ in range(options.rounds):
        for workload in table:
            say(f"round {round_ + 1}/{options.rounds}: {workload['workload']}")
            variants = list(workload["runs"])
            turn = round_ % len(variants)  # another variant runs first in each round
            for variant in variants[turn:] + variants[:turn]:
                before = variant == "before"
                command = [program, workload["workload"], "kq" if before else variant]
                if options.quick:
                    command.append(str(workload["quick"]))
                library = options.before if before else None
                workload["runs"][variant].append(json.loads(output_of(command, library)))
    return table


def measure_ops(options):
    command = [options.build / "kq_ops", "--benchmark_format=json"]
    if options.quick:
        command += ["--benchmark_filter=/1000/", "--benchmark_min_time=0.0001"]
    else:
        command += ["--benchmark_min_time=0.1", f"--benchmark_repetitions={min(options.rounds, 3)}"]
        if options.ops_filter:
            command.append(f"--benchmark_filter={options.ops_filter}")
    say("single operations")
    found = {}
    for run in json.loads(output_of(command))["benchmarks"]:
        if run.get("run_type") == "aggregate":
            continue
        what, operation, knotes = run["name"].split("/")[:3]
        point = found.setdefault((what, operation, int(knotes)), {"ns": [], "heap": [], "skipped": ""})
        if run.get("error_occurred"):
            point["skipped"] = run["error_message"]
        else:
            point["ns"].append(run["ns"])
            point["heap"].append(run["heap"])
    return [
        {
            "filter": what,
            "operation": operation,
            "knotes": knotes,
            "ns": statistics.median(point["ns"]) if point["ns"] else None,
            "heap": statistics.median(point["heap"]) if point["heap"] else None,
            "skipped": point["skipped"],
        }
        for (what, operation, knotes), point in found.items()
    ]


def measure_connections(options):
    shapes = QUICK_CONNECTIONS if options.quick else CONNECTIONS
    found = []
    for round_ in range(options.rounds):
        for shape in shapes:
            say(f"round {round_ + 1}/{options.rounds}: connections {' '.join(shape)}")
            for variant in ("raw", "kq") if round_ % 2 == 0 else ("kq", "raw"):
                line = output_of([options.build / "kq_connections", variant, *shape])
                found.append(json.loads(line))
    return found


# ---- comparing ----


def ratios_to(base, runs):
    """Of each round: how much longer it took."""
    return [ours["ns"] / max(other["ns"], 0.1) for ours, other in zip(runs, base)]


def compare(workload):
    """One row: the medians, the ratio, and whether all that is asked for is reached."""
    runs = workload["runs"]
    base = runs[workload["base"]]
    ratios = ratios_to(base, runs["kq"])
    ratio = statistics.median(ratios)
    ok = ratio <= workload["target"]
    notes = []
    for bound in workload["bounds"]:
        name = bound["name"]
        value = statistics.median(run[name] for run in runs["kq"])
        most = bound["most"]
        if bound["relative"]:
            most *= statistics.median(run[name] for run in base)
        kept = value <= most
        ok = ok and kept
        notes.append(f"{name} {value:.4g} {'<=' if kept else '>'} {most:.4g}")
    return {
        "workload": workload["workload"],
        "base": workload["base"],
        **{v: statistics.median(run["ns"] for run in found) for v, found in runs.items() if v != "before"},
        "before": statistics.median(ratios_to(base, runs["before"])) if runs.get("before") else None,
        "ratio": ratio,
        "spread": f"{min(ratios):.2f}-{max(ratios):.2f}",
        "target": workload["target"],
        "ok": ok,
        "notes": "; ".join(notes),
    }


def nanoseconds(value):
    return "" if value is None else f"{value:,.0f}"


def pair_rows(pairs):
    compared = list(map(compare, pairs))
    beside = any(row["before"] for row in compared)
    head = ["workload", "raw ns", "fair ns", "kq ns", *["before"] * beside, "ratio", "min-max", "at most", "", "also"]
    rows = [
        [
            row["workload"],
            nanoseconds(row["raw"]),
            nanoseconds(row.get("fair")),
            nanoseconds(row["kq"]),
            *[f"{row['before']:.2f}" if row["before"] else ""] * beside,
            f"{row['ratio']:.2f} x {row['base']}",
            row["spread"],
            f"{row['target']:.2f}",
            "ok" if row["ok"] else "over",
            row["notes"],
        ]
        for row in compared
    ]
    return head, rows


def op_rows(ops):
    sizes = sorted({point["knotes"] for point in ops})
    head = ["filter", "operation", *(f"{size:,}" for size in sizes), "heap bytes a knote"]
    rows = {}
    for point in ops:
        row = rows.setdefault((point["filter"], point["operation"]), {"ns": {}, "heap": []})
        row["ns"][point["knotes"]] = "-" if point["skipped"] else nanoseconds(point["ns"])
        if point["heap"]:
            row["heap"].append(point["heap"])
    return head, [
        [
            what,
            operation,
            *(row["ns"].get(size, "") for size in sizes),
            f"{max(row['heap']):.0f}" if row["heap"] else "",
        ]
        for (what, operation), row in rows.items()
    ]


def skipped(ops):
    """Why what is missing is missing: one line for each reason."""
    reasons = {}
    for point in ops:
        if point["skipped"]:
            names = reasons.setdefault(point["skipped"], [])
            name = f"{point['filter']} at {point['knotes']:,}"
            if name not in names:
                names.append(name)
    return [f"{', '.join(names)}: {reason}" for reason, names in reasons.items()]


def connection_rows(connections):
    head = ["connections", "active", "", "raw requests/s", "kq requests/s", "kq / raw", "raw CPU ns",
            "kq CPU ns", "raw p99 us", "kq p99 us", "heap bytes a connection"]
    groups = {}
    for run in connections:
        key = (run["connections"], run["active"], run["family"])
        groups.setdefault(key, {"raw": [], "kq": []})[run["variant"]].append(run)
    rows = []
    for key, runs in groups.items():
        def median(variant, name, runs=runs):
            return statistics.median(run[name] for run in runs[variant])
        ratio = statistics.median(
            kq["requests_per_s"] / raw["requests_per_s"] for kq, raw in zip(runs["kq"], runs["raw"]))
        rows.append([
            f"{key[0]:,}", f"{key[1]:,}", key[2],
            *(f"{median(v, 'requests_per_s'):,.0f}" for v in ("raw", "kq")), f"{ratio:.2f}",
            *(f"{median(v, 'cpu_ns'):,.0f}" for v in ("raw", "kq")),
            *(f"{median(v, 'latency_us_p99'):,.0f}" for v in ("raw", "kq")),
            f"{median('kq', 'heap'):.0f}",
        ])
    return head, rows


# ---- printing ----


def print_table(title, head, rows, markdown, file):
    if markdown:
        lines = [f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows]]
    else:
        widths = [max(map(len, column)) for column in zip(head, *rows)]
        lines = ["  ".join(f"{c:<{w}}" for c, w in zip(cells, widths)).rstrip() for cells in [head, *rows]]
    print(f"{'**' if markdown else ''}{title}{'**' if markdown else ''}\n", file=file)
    print("\n".join(lines), end="\n\n", file=file)


def report(results, markdown, file):
    if results.get("pairs"):
        rounds = len(results["pairs"][0]["runs"]["kq"])
        title = f"Workloads: medians of {rounds} interleaved rounds"
        print_table(title, *pair_rows(results["pairs"]), markdown, file)
    if results.get("connections"):
        title = "Echo server: each request is 64 bytes there and back"
        print_table(title, *connection_rows(results["connections"]), markdown, file)
    if results.get("ops"):
        title = "One operation, in ns, with so many knotes present"
        print_table(title, *op_rows(results["ops"]), markdown, file)
        for line in skipped(results["ops"]):
            print(f"Not measured: {line}.\n", file=file)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help="of kq_pairs; none: all")
    parser.add_argument("--build", type=pathlib.Path, default=HERE.parents[1] / "build/release/test/bench",
                        help="where the programs are (default: %(default)s)")
    parser.add_argument("-r", "--rounds", type=int, default=7)
    parser.add_argument("--only", default="", metavar="PARTS", help="of pairs,connections,ops")
    parser.add_argument("--ops-filter", metavar="REGEX",
                        help="these of kq_ops only; =-REGEX: all but these")
    parser.add_argument("--quick", action="store_true", help="see that all works: no numbers worth keeping")
    parser.add_argument("--markdown", nargs="?", const="-", metavar="FILE", help="tables as Markdown")
    parser.add_argument("--plot", type=pathlib.Path, default=pathlib.Path("kqueue_bench.svg"), metavar="FILE")
    parser.add_argument("--save", type=pathlib.Path, metavar="FILE", help="keep what was measured")
    parser.add_argument("--load", type=pathlib.Path, metavar="FILE", help="measure nothing, use this")
    parser.add_argument("--before", type=pathlib.Path, metavar="DIR",
                        help="measure another build of the library, too: its ratio is in the column before")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a workload is over")
    options = parser.parse_args()
    known = {"pairs": measure_pairs, "connections": measure_connections, "ops": measure_ops}
    default = "pairs" if options.workloads else ",".join(known)
    options.parts = {part: known.get(part) for part in (options.only or default).split(",")}
    if None in options.parts.values():
        parser.error(f"--only takes some of {', '.join(known)}")
    if options.quick:
        options.rounds = 1
    return options


def main():
    options = parse()
    if options.load:
        results = json.loads(options.load.read_text())
    else:
        system = os.uname()
        results = {"system": f"{system.sysname} {system.release} {system.machine}, {os.cpu_count()} CPUs"}
        results |= {part: measure(options) for part, measure in options.parts.items()}
    if options.save:
        options.save.write_text(json.dumps(results))
    report(results, False, sys.stdout)
    if options.markdown == "-":
        report(results, True, sys.stdout)
    elif options.markdown:
        with open(options.markdown, "w") as file:
            report(results, True, file)
    if results.get("ops"):
        options.plot.write_text(plot.draw(results["ops"], results["system"], skipped(results["ops"])))
        say(f"plot: {options.plot}")
    over = [row["workload"] for row in map(compare, results.get("pairs", [])) if not row["ok"]]
    if options.strict and over:
        sys.exit(f"over: {', '.join(over)}")


if __name__ == "__main__":
    main()
