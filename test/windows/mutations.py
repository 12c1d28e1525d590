#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Whether the tests notice faults in src/windows: mutations.py <build> [<first> [<last>]]

Each mutation changes one place of one file. The changed copy is compiled and linked to a DLL in
<build>/mutations with the objects of the build, which has to be up to date; the sources and the build
are left alone. The tests that are named have to fail under Wine, and have to pass with an unchanged
copy. Exit status 1 if a fault went unnoticed.
"""
import json
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = os.path.join(HERE, "..", "..", "src", "windows")
BUILD = os.path.abspath(sys.argv[1])
WORK = os.path.join(BUILD, "mutations")

# file, what stands there (once), what instead, the tests of kq_windows, or of "<program> <tests>"
MUTATIONS = [
    ("file_set.cc", "return kMoved;", "return 0;", "Vnode.R179*"),
    ("file_set.cc", "(void)file.call(name);", "(void)name;", "Vnode.R179*"),
    ("file_set.cc", "if (count_ == 0 || t < look_at_) return;", "if (t >= 0) return;", "Vnode.R171*"),
    ("file_set.cc", "if (!file.called().is_like(name)) {", "if (name.length == 0) {", "Vnode.R179*"),
    ("file_set.cc", "(void)directory.ask();", "", "Vnode.R179*"),
    ("looked.cc", "return entry.mode != Mode::edge || more", "return true", "Pipe.R95*"),
    ("files.cc", "return ended ? uint16_t{kHangup} : uint16_t{0};", "return 0;", "Pipe.*"),
    ("port.cc", "me.until = std::min(end, monotonic_);", "me.until = end;", "Timer.*"),
    ("port.cc", "if (!adopted) bell_->wake();", "", "Timer.R236*"),
    ("backend.cc", "look = std::min(look, now(Clock::monotonic) + LookedAt::kPeriod);", "{}", "Pipe.*Sleeper*"),
    ("socket_set.cc", "if (!ended) edges_.add(", "if (ended) edges_.add(", "Modes.*"),
    ("socket_set.cc", "    } else {\n        list(socket);", "    } else {", "Read.*"),
    ("closes.cc", "watch.closed.store(true, std::memory_order_release);", "", "Close.*"),
    ("children.cc", "static_cast<int>(code & 0xff) << 8", "static_cast<int>(code & 0xff)", "Process.R199*"),
    ("children.cc", "code == ERROR_INVALID_PARAMETER", "code == ERROR_ACCESS_DENIED", "Process.R64*"),
    ("signals.cc", "(void)kq::signal_hub::arrived(number);\n    return 0;", "return 0;", "Signal.R217*"),
    ("bell.cc", "        bell.wake();\n        if (!sweeping", "        if (!sweeping", "Close.R10*"),
    ("bell.cc", "return files::pipe_of_handle(bell.writer) == bell.name;", "return true;", "Close.R10*"),
    ("bell.cc", "FILE_READ_ATTRIBUTES | SYNCHRONIZE, FALSE", "FILE_GENERIC_WRITE, FALSE", "Queue.R9*"),
    ("backend.cc", "if (sockets_.has(left_.handle))", "", "Close.R290*"),
    ("socket_set.cc", "const bool is_old = socket.turn != turn_;", "const bool is_old = false;", "Both.R106*"),
    ("bell.cc", "bell.set(Bell::kClosed);", "", "Close.R10*"),
    ("bell.cc", "packets += bell.taken.load();", "", "kq_conformance Nested.R310*"),
    ("port.cc", "bell.taken.fetch_add(count);", "", "kq_conformance Nested.R310*"),
    ("closes.cc", "watch->serial == serial", "true", "Close.R290*"),
    ("looked.cc", "entry.mode = Mode::none;\n        i++;", "take_out(entry);\n        else i++;", "Pipe.R47*"),
    ("files.cc", "index_of(handle) ^ pipe_of_handle(handle)", "uint64_t{1}", "Pipe.R290*"),
    ("looked.cc", "(entry.ready & ~before) != 0", "entry.ready != before", "Pipe.R95*"),
    ("files.cc", "sample.data = size.QuadPart - offset.QuadPart;", "sample.data = size.QuadPart;", "File.*:Vnode.R144*"),
]


def compile_commands():
    with open(os.path.join(BUILD, "compile_commands.json")) as f:
        for entry in json.load(f):
            if "kq_objects.dir" in entry["command"]:
                words = entry["command"].split()
                output = words[words.index("-o") + 1]
                if output.endswith(".obj"):  # precompiled headers are in the list, too
                    yield entry["file"], output, entry["command"]


def link(changed, objects):
    command = ["x86_64-w64-mingw32-gcc-posix", "-shared", "-static-libgcc", "-o", f"{WORK}/libkqueue.dll"]
    command += [changed.get(o, os.path.join(BUILD, o)) for o in objects]
    command += [os.path.join(SOURCES, "libkqueue.def"), "-lws2_32", "-lntdll"]
    subprocess.run(command, check=True)


def compiled(name, text, commands):
    source = os.path.join(WORK, name)
    with open(source, "w") as f:
        f.write(text)
    for file, output, command in commands:
        if os.path.basename(file) != name or "/src/windows/" not in file:
            continue
        target = f"{WORK}/changed.obj"
        command = command.replace(f" {output} ", f" {target} ").replace(file, source).replace("-Werror", "")
        # What it includes by name alone stands beside the file it was.
        command += f" -iquote {os.path.dirname(file)} -w"
        subprocess.run(command, shell=True, check=True, cwd=BUILD)
        return {output: target}
    raise SystemExit(f"mutations.py: {name} is not compiled")


def passes(tests):
    program, _, tests = ("kq_windows " + tests if " " not in tests else tests).partition(" ")
    run = ["sh", f"{HERE}/wine.sh", f"{BUILD}/wine", f"{WORK}/{program}.exe", "--gtest_brief=1", f"--gtest_filter={tests}"]
    done = subprocess.run(run, env={**os.environ, "KQ_WINE_LIMIT": "60"}, capture_output=True, text=True, errors="replace")
    return done.returncode == 0 and re.search(r"PASSED  \] [1-9]", done.stdout) is not None


def main():
    first, last = int((sys.argv + ["", "1"])[2] or 1), int((sys.argv + ["", "", "99"])[3] or 99)
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    for program in ["kq_windows", "kq_conformance"]:
        shutil.copy(os.path.join(BUILD, "bin", f"{program}.exe"), WORK)
    commands = list(compile_commands())
    objects = list(dict.fromkeys(output for _, output, _ in commands))
    chosen = [m for i, m in enumerate(MUTATIONS, 1) if first <= i <= last]
    link({}, objects)
    if not all(passes(tests) for tests in sorted({m[3] for m in chosen})):
        raise SystemExit("mutations.py: the tests fail without any mutation")
    missed = 0
    for name, before, after, tests in chosen:
        with open(os.path.join(SOURCES, name)) as f:
            text = f.read()
        if text.count(before) != 1:
            raise SystemExit(f"mutations.py: {name} has {text.count(before)} times: {before}")
        link(compiled(name, text.replace(before, after), commands), objects)
        noticed = not passes(tests)
        missed += not noticed
        print(f"{'noticed' if noticed else 'MISSED '} {name}: {before.split(chr(10))[0]} -> {after.split(chr(10))[0]}  ({tests})", flush=True)
    print(f"mutations.py: {len(chosen) - missed} of {len(chosen)} noticed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
