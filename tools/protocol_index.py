#!/usr/bin/env python3
"""Makes docs/protocol.md: what the specifications ask, where the code is, and which test shows it.

Usage: tools/protocol_index.py [--check]

The requirements stand in docs/protocol.toml. Code is found by what it cites ("D-31", "X14", "RFC 8693 §2.1"); tests by what
their names and comments cite, by their case ("E-02") or attack ("302"), and by file and name: a test S2_1_… of
rfc8693_exchange_test.cc shows RFC 8693 §2.1. With --check nothing is written, and a file that is out of date fails, as does a
requirement that is built, or an attack that is possible, and has no test. Standard library only.
"""
import pathlib
import re
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
RFC = re.compile(r"RFC (\d{4})[^§\n]{0,3}((?:§ ?[\d.]+(?:, | and | or )?)+)")
MARK = re.compile(r"\b(D-\d\d|X\d\d)\b")
CASE = re.compile(r"\b([A-S]-P?\d{2}|\d{1,3})\b")


def citations(text):
    found = set(MARK.findall(text))
    for number, sections in RFC.findall(text):
        for section in re.findall(r"§ ?([\d.]+)", sections):
            found.add(f"RFC {number} §{section.rstrip('.')}")
    return found


def code_places():
    places = {}
    for path in sorted(ROOT.glob("src/**/*")):
        if path.suffix in (".cc", ".h"):
            for cited in citations(path.read_text()):
                places.setdefault(cited, []).append(str(path.relative_to(ROOT)))
    return places


def cpp_tests():
    """(name, what it cites) of every C++ test."""
    pattern = re.compile(r"^TEST(?:_F|_P)?\((\w+),\s*(\w+)\)[^\n/]*(?://(.*))?$", re.M)
    for path in sorted(ROOT.glob("tests/**/*_test.cc")):
        text = path.read_text()
        rfc = re.match(r"rfc(\d{4})_", path.name)
        for suite, name, comment in pattern.findall(text):
            cited = citations(comment) | set(CASE.findall(re.sub(r"RFC \d{4}|§ ?[\d.]+|D-\d\d\b(?!\d)", "", comment)))
            suite_rfc = re.match(r"Rfc(\d{4})", suite)
            number = suite_rfc[1] if suite_rfc else rfc[1] if rfc else None
            section = re.match(r"S((?:\d+_)+)", name)
            if section and number:
                cited.add(f"RFC {number} §{section[1].rstrip('_').replace('_', '.')}")
            for letter, digits in re.findall(r"(?:^|_)([A-S])_?(\d\d)_", name):
                cited.add(f"{letter}-{digits}")
            yield f"`{suite}.{name}`", cited


def case_tests():
    for path in sorted(path for folder in ("cases", "faults", "guard", "load") for path in ROOT.glob(f"tests/{folder}/*.test.mjs")):
        for title in re.findall(r"\btest\('((?:[^'\\]|\\.)*)'", path.read_text()):
            head = re.match(r"(?:(?:security )?(?:[A-S]-P?\d{2}|\d{1,3})(?:, | to )?)+", title)
            if head:
                cited = set(CASE.findall(head[0]))
                for first, last in re.findall(r"\b(\d{1,3}) to (\d{1,3})\b", head[0]):
                    cited |= {str(number) for number in range(int(first), int(last) + 1)}
                yield f"{path.name}: {head[0].strip().rstrip(',')}", cited


def main():
    source = tomllib.loads((ROOT / "docs/protocol.toml").read_text())
    requirements, attacks = source["requirement"], source["attack"]
    code, tests = code_places(), [*case_tests(), *cpp_tests()]
    lines = ["# What the specifications ask, where it is done, and what shows it", "",
             "Made by `tools/protocol_index.py` from `docs/protocol.toml`, the code and the tests; `./test` fails where it is out of date or",
             "where something that is built has no test. D-nn are our decisions where specifications leave a choice, Xnn the map of errors.", ""]
    untested, later = [], []

    def rows(title, chosen):
        lines.extend([f"## {title}", "", "| | what is asked | code | shown by |", "| --- | --- | --- | --- |"])
        for one in chosen:
            wanted = {one["id"], *one.get("cases", [])}
            # A section is also shown by what shows the sections beneath it.
            shown = [name for name, cited in tests if wanted & cited or any(c.startswith(one["id"] + ".") for c in cited)]
            places = sorted({place for cited, found in code.items() for place in found if cited == one["id"] or cited.startswith(one["id"] + ".")})
            if one.get("later"):
                later.append(one)
            elif not shown:
                untested.append(one)
            more = f", and {len(shown) - 5} more" if len(shown) > 5 else ""
            lines.append(f"| {one['id']} | {one['says'].replace('|', '/')} | {'<br>'.join(f'`{place}`' for place in places[:5])} | "
                         f"{'not built: ' + one['later'] + '<br>' if one.get('later') else ''}{'<br>'.join(shown[:5])}{more} |")
        lines.append("")

    rows("Decisions", [one for one in requirements if one["id"].startswith("D-")])
    rows("Errors", [one for one in requirements if one["id"].startswith("X")])
    rows("RFCs", [one for one in requirements if one["id"].startswith("RFC")])
    lines.extend(["## Attacks", "", "What was tried, or the reason why it cannot be. Each test looks, after the attack, for the exact refusal, a record with a reason in a",
                  "log whose chain holds, no secret in log, output or database, and an honest flow that still works.", "",
                  "| | what is tried | shown by |", "| --- | --- | --- |"])
    for one in attacks:
        wanted = {one["id"], *one.get("cases", [])}
        shown = [name for name, cited in tests if wanted & cited]
        if "absent" not in one and not shown:
            untested.append(one)
        said = f"not possible here, not built: {one['absent']}" if "absent" in one else "<br>".join(shown[:3])
        more = f", and {len(shown) - 3} more" if "absent" not in one and len(shown) > 3 else ""
        lines.append(f"| {one['id']} | {one['says'].replace('|', '/')} | {said}{more} |")
    lines.append("")
    lines.extend(["## Without a test", ""])
    lines.extend([f"- {one['id']}: {one['says']}" for one in untested] or ["Nothing that is built."])
    lines.extend(["", "## Not built yet", ""])
    lines.extend(f"- {one['id']}: {one['later']}" for one in later)
    text = "\n".join(lines) + "\n"
    target = ROOT / "docs/protocol.md"
    if "--check" not in sys.argv:
        target.write_text(text)
    elif not target.exists() or target.read_text() != text:
        sys.exit("docs/protocol.md is out of date: run tools/protocol_index.py")
    print(f"{len(requirements)} requirements and {len(attacks)} attacks, {len(untested)} without a test, {len(later)} not built yet")
    if untested and "--check" in sys.argv:
        sys.exit("without a test: " + ", ".join(one["id"] for one in untested))


if __name__ == "__main__":
    main()
