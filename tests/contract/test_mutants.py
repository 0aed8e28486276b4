"""tests/mutants against the tree and docs/SECURITY.md: every row's lines are still there, once, and every
requirement that names a test has a mutant which that test must see, or a reason why it has none."""

from __future__ import annotations

import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "mutants"))

# pylint: disable=wrong-import-position
import table  # noqa: E402
from test_security import ids, rows  # noqa: E402

MUTANTS = table.table()


def named() -> dict[str, str]:
    """Requirements that are met or part met, and the cell with their tests."""
    return {name: row[3] for row in rows() if "::" in row[3] for name in
            (ids(row[0]) if not row[0].startswith("V") else [row[0]])}


def test_each_change_fits_the_tree() -> None:
    for mutant in MUTANTS:
        for change in mutant.changes:
            change.apply(table.ROOT)


def test_each_test_that_must_be_red_is_there() -> None:
    sources = table.sources()
    for mutant in MUTANTS:
        for test in mutant.tests:
            file, _, name = test.partition("::")
            assert file in sources, f"{mutant.where}: there is no {file}"
            text = sources[file].read_text()
            assert f"def {name}(" in text or f"({name}" in text, f"{mutant.where}: {file} has no test {name}"


def test_no_mutant_is_there_twice() -> None:
    seen = [(mutant.what, mutant.ids) for mutant in MUTANTS]
    assert not [what for what in seen if seen.count(what) > 1]


def test_every_requirement_with_a_test_has_a_mutant_or_a_reason() -> None:
    """The mutant's tests are the row's: what the table names is what was seen to fail."""
    reasons, caught = table.untried(), {}
    for mutant in MUTANTS:
        for name in mutant.ids:
            caught.setdefault(name, set()).update(mutant.tests)
    for name, cell in named().items():
        shown = {test for test in caught.get(name, ()) if f"`{test}`" in cell}
        assert shown or name in reasons, f"{name}: no mutant is seen by {cell}"
        assert not (shown and name in reasons), f"{name} is tried: untried.txt need not say why not"
    assert not set(reasons) - set(named()), "no such row: " + ", ".join(sorted(set(reasons) - set(named())))
    assert not set(caught) - set(named()), "no such row: " + ", ".join(sorted(set(caught) - set(named())))
