#!/usr/bin/env python3
"""Holds src/ to the dependency table of ARCHITECTURE.md ("## Who may include whom").

Also keeps third-party headers, the clock, entropy and the process environment in the one place that may name them, and
keeps out what the release compiler gets wrong.
Prints file:line for every violation and exits 1.   tools/check_layers.py [--self-test]
"""
import fnmatch
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Prefix of a <header> -> the files that may include it.
HEADERS = {
    "openssl/": ["crypto/*", "http/*"],
    "sodium": ["crypto/*"],
    "sqlite3.h": ["store/sqlite*.cc"],
    "libpq-fe.h": ["store/postgres*.cc"],
    "boost/asio": ["http/*"],
    "boost/beast": ["http/*"],
    "boost/json": ["base/json.cc"],
    "boost/": ["http/*", "base/json.cc"],
    "ctemplate/": ["console/templates.cc"],
    "zlib.h": ["oauth/status_list.cc"],
    "toml++/": ["app/*", "sdk/policy*", "guard/config*"],
    "CLI/": ["app/main.cc"],
}
# What asks the outside world -> the files that may.
WORDS = {
    r"\bsystem_clock\b": ["base/environment.cc"],
    r"\btime\s*\(\s*(nullptr|NULL|0)\s*\)": ["base/environment.cc"],
    r"\brandom_device\b": ["crypto/random.cc"],
    r"\bRAND_(priv_)?bytes\b": ["crypto/random.cc"],
    r"\b(secure_)?getenv\b": ["base/environment.cc", "app/demo*"],  # the demo asks for NO_COLOR
}


# GCC 12 destroys an aggregate twice that is made in the arguments of what is awaited: it is to be named before.
AWAITED_AGGREGATE = re.compile(r"\bco_await\b[^;\[]*[(,]\s*[\w:]*\{")

# What the SDK's users include, and where it stands.
PUBLIC = "sdk/include/"


def layer_of(included):
    folder = included.split("/")[0]
    return "sdk" if folder == "behalf" else folder


def read_table(text):
    """{folder: folders it may include}"""
    section = re.search(r"^## Who may include whom$(.*?)(?=^## |\Z)", text, re.M | re.S)
    rows = re.findall(r"^\| *`(\w+)` *\|(.*)\|$", section.group(1), re.M) if section else []
    return {folder: set(re.findall(r"`(\w+)`", allowed)) for folder, allowed in rows}


def violations(name, text, table):
    """Yields (line, what) for one file; `name` is its path below src/."""
    folder = name.split("/")[0]
    if folder not in table:
        yield 1, f"folder {folder} has no row in the table of ARCHITECTURE.md"
        return
    for found in AWAITED_AGGREGATE.finditer(re.sub(r"//.*", "", text)):
        yield text.count("\n", 0, found.end()) + 1, "name this value before it is awaited: GCC 12 destroys it twice"
    for number, line in enumerate(text.splitlines(), 1):
        ours = re.match(r'\s*#\s*include\s*"([^"]+)"', line)
        if ours and "/" not in ours[1]:
            yield number, f'"{ours[1]}" must be named from src/, as "{folder}/{ours[1]}"'
        elif ours and layer_of(ours[1]) not in table[folder]:
            yield number, f"{folder} may not include {ours[1]}"
        elif ours and name.startswith(PUBLIC) and not ours[1].startswith("behalf/"):
            yield number, f"a public header may not include {ours[1]}"
        theirs = re.match(r"\s*#\s*include\s*<([^>]+)>", line)
        for prefix, places in HEADERS.items() if theirs else ():
            if theirs[1].startswith(prefix) and not any(fnmatch.fnmatch(name, place) for place in places):
                yield number, f"<{theirs[1]}> belongs into {' or '.join(places)}"
                break
        code = re.sub(r'"(\\.|[^"\\])*"', '""', line).split("//")[0]
        for word, places in WORDS.items():
            found = re.search(word, code)
            if found and not any(fnmatch.fnmatch(name, place) for place in places):
                yield number, f"{found[0]} belongs into {' or '.join(places)}"


def self_test():
    table = read_table("## Who may include whom\n\n| folder | may include |\n| --- | --- |\n"
                       "| `base` | `base` |\n| `http` | `base`, `http` |\n\n## Next\n| `app` | `app` |\n")
    assert table == {"base": {"base"}, "http": {"base", "http"}}, table
    good = [("http/a.cc", '#include "base/a.h"\n#include <boost/asio.hpp>\n#include <vector>\n'),
            ("base/environment.cc", "std::chrono::system_clock::now();\n"),
            ("base/b.cc", '// getenv is refused\nlog("system_clock");\nmake_time(nullptr);\n'),
            ("http/a.cc", "co_await call([&](int b) { return Options{b}; });\nauto c = call(Options{1});\n")]
    bad = [("base/a.cc", '\n#include "http/a.h"\n', 2), ("base/a.cc", "#include <boost/asio.hpp>\n", 1),
           ("http/a.cc", "#include <sqlite3.h>\n", 1), ("http/a.cc", "\n\nreturn getenv(\"A\");\n", 3),
           ("http/a.cc", '#include "a.h"\n', 1),
           ("http/a.cc", "auto b = co_await call(\n    c, Options{1, 2});\n", 2), ("http/a.cc", "co_await call({1, 2});\n", 1),
           ("base/a.cc", "srand(time(nullptr));\n", 1),
           ("base/a.cc", "#include <boost/uuid.hpp>\n", 1), ("extra/a.cc", "", 1)]
    for name, text in good:
        assert not list(violations(name, text, table)), (name, text)
    for name, text, line in bad:
        assert [number for number, _ in violations(name, text, table)] == [line], (name, text)
    print("check_layers: the self-test holds")
    return 0


def main():
    table = read_table((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"))
    if not table:
        print('ARCHITECTURE.md: no table under "## Who may include whom"')
        return 1
    files = sorted(path for path in (ROOT / "src").rglob("*") if path.suffix in (".cc", ".h"))
    found = 0
    for path in files:
        name = path.relative_to(ROOT / "src").as_posix()
        for line, what in violations(name, path.read_text(encoding="utf-8"), table):
            print(f"src/{name}:{line}: {what}")
            found += 1
    print(f"check_layers: {len(files)} files, {found} violations")
    return 1 if found or not files else 0


if __name__ == "__main__":
    sys.exit(self_test() if sys.argv[1:] == ["--self-test"] else main())
