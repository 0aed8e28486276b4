#!/usr/bin/python3
"""What the compiler cannot say: who may include whom, how long a file or function may be, who logs."""
import pathlib
import re
import sys

# Each layer may use itself and those named; services may use all of libs, and no other service.
USES = {
    "base": set(),
    "wire": {"base"},
    "store": {"base"},
    "net": {"base"},
    "bus": {"base", "wire"},
    "svc": {"base", "wire", "bus", "store", "net"},
}
# Libraries report; these few also log, since nobody is there to report to (a thread of their own).
MAY_LOG = {"base", "bus", "svc"}
FILE_LINES, FUNCTION_LINES, PARAMETERS, DEPTH = 500, 60, 6, 4

bad = []


def check_lengths(path, text):
    if text.count("\n") > FILE_LINES:
        bad.append(f"{path}: longer than {FILE_LINES} lines")
    for m in re.finditer(r"^([^\n#/][^;{}]*?\([^;{}]*\))\n\{\n(.*?)^\}$", text, re.M | re.S):
        line = text[: m.start(2)].count("\n")
        if m[2].count("\n") > FUNCTION_LINES:
            bad.append(f"{path}:{line}: function longer than {FUNCTION_LINES} lines")
        depth = max((len(l) - len(l.lstrip("\t")) for l in m[2].splitlines()
                     if re.match(r"\t+(if|for|while|switch|do)\b", l)), default=0)
        if depth > DEPTH:
            bad.append(f"{path}:{line}: nested deeper than {DEPTH} levels")
        # struct err *e comes last everywhere and is not counted.
        args = re.sub(r",\s*struct err \*e$", "", m[1][m[1].index("(") + 1: -1])
        if args.count(",") + 1 > PARAMETERS and "(*" not in args:
            bad.append(f"{path}:{line}: more than {PARAMETERS} parameters")


def check_layers(path, text):
    room = path.parts[1]
    for inc in re.findall(r'^#include "([^"/]+)/', text, re.M):
        if path.parts[0] == "libs" and inc in USES and inc != room and inc not in USES[room]:
            bad.append(f"{path}: libs/{room} must not use libs/{inc}")
    if "services/" in "".join(re.findall(r'^#include "[^"]+"', text, re.M)):
        bad.append(f"{path}: a service must not include another's files")
    if path.parts[0] == "libs" and room not in MAY_LOG:
        if re.search(r"\blog_(debug|info|warn|error|line)\(", text):
            bad.append(f"{path}: libs/{room} reports, it does not log")


def check_words(path, text):
    for i, line in enumerate(text.splitlines(), 1):
        if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line):
            bad.append(f"{path}:{i}: a loose end: {line.strip()[:60]}")
        if re.search(r"\bs?rand\(", line) and path.name != "banned.h":
            bad.append(f"{path}:{i}: rand() is no source of anything; see base/uuid.h")
        if path.parts[0] != "tests" and len(line.expandtabs(8)) > 120:
            bad.append(f"{path}:{i}: wider than 120 columns")


files = sorted(p for d in ("libs", "services", "tools", "tests")
               for p in pathlib.Path(d).rglob("*.[ch]"))
for file in files:
    content = file.read_text()
    check_lengths(file, content)
    check_words(file, content)
    if file.parts[0] in ("libs", "services"):
        check_layers(file, content)

print("\n".join(bad) or f"lint: {len(files)} files clean")
sys.exit(bool(bad))
