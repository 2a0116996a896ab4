#!/usr/bin/env python3
"""Breaks one guard at a time and asks whether a test notices.

Every entry of tools/mutations.toml takes one rule away (a text that must stand exactly once in one source file) in a copy of
the tree. The copy is built like the `dev` preset; the entry's own tests run first, then the whole protocol, unit and store
suites. A mutation that no test notices is an error: that guard could be lost without anybody seeing it.

    tools/mutate.py             all of them; writes docs/mutations.md
    tools/mutate.py NAME...     only these, and their rows of it
    tools/mutate.py --model NAME...  only whether the random sequences of the model tests notice
    tools/mutate.py --check     only whether every text stands exactly once
"""
import os
import pathlib
import re
import subprocess
import sys
import time
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCRATCH = ROOT / "build" / "mutate"
TABLE = ROOT / "docs" / "mutations.md"
SUITES = ("protocol", "unit", "store")
# What waits for a database server proves nothing here and can turn red by itself.
LEFT_OUT = "*ostgres*"
# A guard that is gone leaves names behind that nobody uses; that is no error here.
QUIET = "".join(f'#pragma GCC diagnostic ignored "-Wunused-{kind}"\n'
                for kind in ("variable", "but-set-variable", "parameter", "function", "value"))
LONGEST = 240  # seconds for one run of one suite; the slowest takes a fifth of it


class NotBuilt(Exception):
    pass


def run(command, **more):
    environment = dict(os.environ, CCACHE_BASEDIR=str(SCRATCH))
    return subprocess.run(command, cwd=SCRATCH, env=environment, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, errors="replace", **more)


def load():
    with open(ROOT / "tools" / "mutations.toml", "rb") as file:
        entries = tomllib.load(file)["mutation"]
    names = [entry["name"] for entry in entries]
    faults = [f"{name}: named twice" for name in sorted({n for n in names if names.count(n) > 1})]
    for entry in entries:
        count = (ROOT / entry["file"]).read_text().count(entry["old"])
        if count != 1:
            faults.append(f'{entry["name"]}: its text stands {count} times in {entry["file"]}')
        if entry["old"] == entry["new"]:
            faults.append(f'{entry["name"]}: changes nothing')
    if faults:
        sys.exit("\n".join(faults))
    return entries


def copy_tree():
    SCRATCH.mkdir(parents=True, exist_ok=True)
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, check=True,
                            stdout=subprocess.PIPE).stdout.split(b"\0")
    wanted = {pathlib.Path(os.fsdecode(name)) for name in listed if name}
    for name in wanted:
        source, target = ROOT / name, SCRATCH / name
        if not source.is_file():
            continue
        data = source.read_bytes()
        if target.exists() and target.read_bytes() == data:
            continue  # keeps its time, so that only what differs is built
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        target.chmod(source.stat().st_mode)
    for folder in ("src", "tests"):
        for old in (SCRATCH / folder).rglob("*"):
            if old.is_file() and old.relative_to(SCRATCH) not in wanted:
                old.unlink()


def build(suites):
    targets = [word for suite in suites for word in ("--target", f"{suite}_tests")]
    result = run(["cmake", "--build", "build/dev", *targets])
    return "" if result.returncode == 0 else result.stdout[-3000:]


def red_test(suite, pattern="*"):
    """The first test that turns red, or "" if all are green."""
    command = [f"build/dev/tests/{suite}_tests", f"--gtest_filter={pattern}-{LEFT_OUT}", "--gtest_fail_fast"]
    try:
        result = run(command, timeout=LONGEST)
    except subprocess.TimeoutExpired:
        return f"{suite}: nothing ended in {LONGEST} s"
    if result.returncode == 0:
        if "[  PASSED  ] 0 tests" in result.stdout:
            sys.exit(f"{suite}: no test is called {pattern}")
        return ""
    failed = re.findall(r"^\[  FAILED  \] (\S+?)(?:,| \()", result.stdout, re.MULTILINE)
    started = re.findall(r"^\[ RUN      \] (\S+)", result.stdout, re.MULTILINE)
    return failed[0] if failed else f"{started[-1] if started else suite} (crashed)"


def hunt(entry, suites=SUITES):
    """Which test noticed the mutation; "" if none did. Raises NotBuilt."""
    path = SCRATCH / entry["file"]
    whole = path.read_text()
    path.write_text(QUIET + whole.replace(entry["old"], entry["new"]))
    try:
        first = [word.split(":", 1) for word in entry["first"]] if suites is SUITES else []
        known = list(dict.fromkeys(suite for suite, _ in first))
        if fault := known and build(known):
            raise NotBuilt(fault)
        for suite, pattern in first:
            if red := red_test(suite, pattern):
                return red
        if fault := build(suites):
            raise NotBuilt(fault)
        for suite in suites:
            if red := red_test(suite):
                return red
        return ""
    finally:
        path.write_text(whole)


def write_table(entries, results):
    """The rows of what ran now, and those of what ran before."""
    rows = {}
    if TABLE.exists():
        rows = {line.split("|")[1].strip(): line for line in TABLE.read_text().splitlines() if line.startswith("| ")}
    for entry, red in results:
        rows[entry["name"]] = f'| {entry["name"]} | {entry["guard"]} | `{entry["file"]}` | `{red}` |'
    lines = ["# What notices a lost guard", "",
             "Written by `./dev mutate`: each row takes one guard out of the source, and names the first test that turned red.",
             "A guard that no test misses fails the run.", "",
             "| mutation | guard taken away | file | noticed by |", "| --- | --- | --- | --- |"]
    lines += [rows[entry["name"]] for entry in entries if entry["name"] in rows]
    TABLE.write_text("\n".join(lines) + "\n")


def main(words):
    entries = load()
    if words == ["--check"]:
        return print(f"{len(entries)} mutations, each text stands once")
    suites = SUITES
    if words[:1] == ["--model"]:
        suites, words = ("model",), words[1:]
    unknown = set(words) - {entry["name"] for entry in entries}
    if unknown:
        sys.exit("no mutation is called " + ", ".join(sorted(unknown)))
    copy_tree()
    configured = run(["cmake", "--preset", "dev"])
    fault = configured.stdout if configured.returncode else build(suites)
    if fault:
        sys.exit(f"the tree does not build as it is\n{fault}")
    for suite in suites:
        if red := red_test(suite):
            sys.exit(f"{red} is red already, without any mutation")
    results, survivors = [], []
    for entry in entries:
        if words and entry["name"] not in words:
            continue
        began = time.monotonic()
        try:
            red = hunt(entry, suites)
        except NotBuilt as fault:
            print(fault)
            red = ""
        results.append((entry, red))
        if not red:
            survivors.append(entry["name"])
        print(f'{entry["name"]:34} {red or "SURVIVED":72} {time.monotonic() - began:4.0f} s', flush=True)
    print(f"{len(results) - len(survivors)} of {len(results)} noticed")
    if survivors:
        sys.exit("no test notices: " + ", ".join(survivors))
    if suites is SUITES:
        write_table(entries, results)


if __name__ == "__main__":
    main(sys.argv[1:])
