"""Every call has a handler in exactly one service, the one that its subject names.

Reads the tables as text: a service's handlers are rows { SUBJ_ID, on_x … } in its main.c (R7, R8).
"""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
SERVICE = {"auth": "auth", "instance": "instance-manager", "realtime": "realtime-fanout",
           "backup": "storage-backup"}
SUBJECT = re.compile(r'^SUBJECT\((\w+),\s*"([^"]+)",\s*(CALL|ONCE|EVENT),', re.M)
ROW = re.compile(r"\{\s*SUBJ_(\w+)\s*,\s*(\w+)\s*[,}]")


def subjects():
    rows = SUBJECT.findall((ROOT / "proto/subjects.def").read_text())
    assert len(rows) > 20
    return rows


def handlers():
    found = {}
    for path in sorted((ROOT / "services").glob("*/main.c")):
        for subject, handler in ROW.findall(path.read_text()):
            found.setdefault(subject, []).append((path.parent.name, handler))
    return found


def test_every_call_has_one_handler_in_the_service_it_names():
    found = handlers()
    for name, subject, kind in subjects():
        if kind == "EVENT":
            assert name not in found, f"{subject} is an event: nobody answers it"
            continue
        where = [service for service, _ in found.get(name, [])]
        assert where == [SERVICE[subject.split(".")[2]]], f"{subject}: handled in {where}"


def test_every_handler_answers_a_subject_of_the_table():
    assert set(handlers()) <= {name for name, _, _ in subjects()}


def test_no_handler_answers_two_subjects_but_health():
    rows = [h for hs in handlers().values() for _, h in hs if h != "svc_on_health"]
    assert len(rows) == len(set(rows))
