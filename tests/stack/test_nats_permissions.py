"""deploy/nats/nats.conf, as the real nats-server enforces it."""

from __future__ import annotations

import json
import re
import subprocess
import zlib
from typing import Iterator

import pytest

from stack.paths import PROJECT as ROOT
from natsclient import NatsClient
from stack import Stack
from stack.nats import TEMPLATE, USERS

# user, subject, may publish
PUBLISH = [
    ("gateway", "zaki.rpc.auth.login", True),
    ("gateway", "zaki.rpc.instance.create", True),
    ("gateway", "zaki.int.auth.health", True),
    ("gateway", "zaki.int.instance.health", True),
    ("gateway", "zaki.int.auth.user_tier", True),
    ("gateway", "zaki.int.instance.purge_user", False),
    ("gateway", "zaki.evt.user.1.session_ended", False),
    ("gateway", "zaki.rt.gateway-1", False),
    ("gateway", "$SRV.STATS", True),
    ("gateway", "$JS.API.STREAM.DELETE.ZAKI_EVENTS", False),
    ("auth", "zaki.evt.user.1.session_ended", True),
    ("auth", "zaki.int.instance.purge_user", True),
    ("auth", "zaki.rpc.instance.delete", False),
    ("auth", "zaki.rpc.auth.login", False),
    ("auth", "zaki.evt.instance.1.status", False),
    ("auth", "_INBOX_gateway.forged", False),
    ("instance-manager", "zaki.evt.instance.1.status", True),
    ("instance-manager", "zaki.evt.channel.1.connected", True),
    ("instance-manager", "zaki.int.auth.user_tier", True),
    ("instance-manager", "zaki.int.auth.session_check", False),
    ("instance-manager", "zaki.evt.user.1.session_ended", False),
    ("instance-manager", "zaki.rpc.auth.user_get", False),
    ("instance-manager", "zaki.rt.gateway-1", False),
    ("realtime-fanout", "zaki.rt.gateway-1", False),
    ("realtime-fanout-events", "zaki.rt.gateway-1", True),
    ("realtime-fanout-events", "zaki.int.instance.state", False),
    ("realtime-fanout-events", "zaki.evt.instance.1.status", False),
    ("realtime-fanout-events", "_INBOX_gateway.forged", False),
    ("realtime-fanout", "zaki.int.instance.state", True),
    ("realtime-fanout", "zaki.evt.instance.1.status", False),
    ("realtime-fanout", "zaki.rpc.instance.get", False),
    ("realtime-fanout", "$JS.API.STREAM.INFO.ZAKI_EVENTS", False),
    ("realtime-fanout-events", "$JS.API.STREAM.INFO.ZAKI_EVENTS", True),
    ("realtime-fanout-events", "$JS.API.CONSUMER.CREATE.ZAKI_EVENTS", True),
    ("realtime-fanout-events", "$JS.API.STREAM.MSG.GET.ZAKI_EVENTS", True),
    ("realtime-fanout", "$JS.API.STREAM.MSG.GET.ZAKI_EVENTS", False),
    ("realtime-fanout-events", "$JS.API.STREAM.DELETE.ZAKI_EVENTS", False),
    ("realtime-fanout-events", "$JS.API.STREAM.CREATE.OTHER", False),
    ("storage-backup", "zaki.evt.backup.1.status", True),
    ("storage-backup", "zaki.int.instance.hold", True),
    ("storage-backup", "zaki.int.auth.user_tier", True),
    ("storage-backup", "zaki.int.instance.purge_user", False),
    ("storage-backup", "zaki.evt.instance.1.status", False),
    ("storage-backup", "zaki.rpc.instance.get", False),
    ("zakictl", "zaki.int.backup.admin_do", True),
    ("zakictl", "zaki.int.backup.purge_user", False),
    ("zakictl", "zaki.int.instance.admin_upgrade", True),
    ("zakictl", "zaki.int.instance.purge_user", False),
    ("zakictl", "zaki.rpc.backup.create", False),
    ("zakictl", "$SRV.PING", False),
    ("operator", "zaki.int.backup.admin_do", False),
    ("operator", "$SRV.PING", True),
    ("operator", "$SRV.INFO.auth", True),
    ("operator", "zaki.rpc.auth.login", False),
    ("operator", "zaki.evt.instance.1.status", False),
    ("operator", "$JS.API.STREAM.PURGE.ZAKI_EVENTS", False),
    ("operator", "_INBOX_gateway.forged", False),
]

# user, subject, may subscribe
SUBSCRIBE = [
    ("gateway", "zaki.rt.gateway-1", True),
    ("gateway", "zaki.evt.user.*.session_ended", True),
    ("gateway", "zaki.evt.>", False),
    ("gateway", "zaki.rpc.>", False),
    ("gateway", ">", False),
    ("gateway", "$SRV.*.gateway.id1", True),
    ("auth", "zaki.rpc.auth.*", True),
    ("auth", "zaki.rpc.auth.login", True),
    ("auth", "zaki.int.auth.*", True),
    ("auth", "zaki.rpc.instance.*", False),
    ("auth", "_INBOX_gateway.>", False),
    ("auth", "$SRV.*", True),
    ("auth", "$SRV.*.auth", True),
    ("auth", "$SRV.*.gateway", False),
    ("instance-manager", "zaki.rpc.instance.*", True),
    ("instance-manager", "zaki.rpc.auth.*", False),
    ("instance-manager", "_INBOX_instance-manager.>", True),
    ("instance-manager", ">", False),
    ("realtime-fanout", "zaki.rpc.realtime.*", True),
    ("realtime-fanout", "zaki.evt.>", False),
    ("realtime-fanout", "_INBOX_auth.>", False),
    ("realtime-fanout-events", "_INBOX_realtime-fanout-events.>", True),
    ("realtime-fanout-events", "_INBOX_realtime-fanout.>", False),
    ("realtime-fanout-events", "zaki.rpc.realtime.*", False),
    ("realtime-fanout-events", "zaki.evt.>", False),
    ("storage-backup", "zaki.rpc.backup.*", True),
    ("storage-backup", "zaki.int.backup.*", True),
    ("zakictl", "zaki.int.backup.*", False),
    ("zakictl", "zaki.evt.>", False),
    ("storage-backup", "zaki.rpc.instance.*", False),
    ("operator", ">", True),
]


@pytest.fixture(scope="module")
def clients(servers: Stack) -> Iterator[dict[str, NatsClient]]:
    """A connection for each user."""
    found = {user: NatsClient(servers.nats_url(user)) for user in USERS}
    yield found
    for client in found.values():
        client.close()


@pytest.mark.parametrize("user, subject, allowed", PUBLISH)
def test_publish_is_allowed_or_refused(clients: dict[str, NatsClient], user: str, subject: str, allowed: bool) -> None:
    assert clients[user].publish(subject) is allowed


@pytest.mark.parametrize("user, subject, allowed", SUBSCRIBE)
def test_subscribe_is_allowed_or_refused(clients: dict[str, NatsClient], user: str, subject: str,
                                         allowed: bool) -> None:
    assert clients[user].subscribe(subject, sid=zlib.crc32(subject.encode())) is allowed


SERVED_BY = {"auth": "auth", "instance": "instance-manager", "realtime": "realtime-fanout",
             "backup": "storage-backup"}


# What processes of one service ask each other, under their own ids.
AMONG_THEMSELVES = {"zaki.int.instance.link_ask"}


def subjects() -> list[str]:
    """Every subject of the catalogue, with a word where it has a *."""
    text = (ROOT / "proto" / "subjects.def").read_text()
    return [s.replace("*", "some-id") for s in re.findall(r'SUBJECT\(\w+,\s*"([^"]+)"', text)]


@pytest.mark.parametrize("subject", subjects())
def test_every_subject_of_the_catalogue_has_who_sends_and_who_serves_it(clients: dict[str, NatsClient],
                                                                        subject: str) -> None:
    senders = {user for user in USERS if clients[user].publish(subject)}
    kind, owner = subject.split(".")[1:3]
    if kind == "rpc":
        assert senders == {"gateway"}
    elif kind == "evt":
        assert senders == {{"user": "auth", "backup": "storage-backup"}.get(owner, "instance-manager")}
    else:
        assert senders, "nobody may send it"
        asks_itself = SERVED_BY[owner] in senders
        assert asks_itself == (subject in AMONG_THEMSELVES), "it would ask itself"
    if kind != "evt":
        assert clients[SERVED_BY[owner]].subscribe(subject, sid=zlib.crc32(subject.encode()))


def test_a_service_may_answer_what_it_was_asked(servers: Stack) -> None:
    gateway, auth = NatsClient(servers.nats_url("gateway")), NatsClient(servers.nats_url("auth"))
    assert gateway.subscribe("_INBOX_gateway.>") and auth.subscribe("zaki.rpc.auth.*")
    assert gateway.publish("zaki.rpc.auth.login", b"{}", reply="_INBOX_gateway.one")
    _, reply, _ = auth.next()
    assert auth.publish(reply, b"answer")
    assert gateway.next() == ("_INBOX_gateway.one", "", b"answer")
    assert not auth.publish(reply, b"again"), "one answer a question"


def test_who_reads_the_stream_answers_nobody(servers: Stack) -> None:
    """A user that may answer makes the server slower with each message that it is sent (nats.conf)."""
    reader, operator = (NatsClient(servers.nats_url(user)) for user in ("realtime-fanout-events", "operator"))
    gateway = NatsClient(servers.nats_url("gateway"))
    assert operator.subscribe("zaki.rt.>") and gateway.subscribe("_INBOX_gateway.>")
    assert reader.subscribe("_INBOX_realtime-fanout-events.>")
    assert reader.publish("zaki.rt.some", b"{}", reply="_INBOX_gateway.one")
    assert operator.next()[1] == "_INBOX_gateway.one"
    assert not reader.publish("_INBOX_gateway.one", b"answer")
    text = TEMPLATE.read_text()
    own = text[text.index("user: realtime-fanout-events"):]
    assert "allow_responses" not in own[:own.index("user:", 10)]


def test_realtime_fanout_makes_the_stream_and_others_get_acks(servers: Stack) -> None:
    fanout, manager = (NatsClient(servers.nats_url(user)) for user in ("realtime-fanout-events", "instance-manager"))
    assert fanout.subscribe("_INBOX_realtime-fanout-events.>") and manager.subscribe("_INBOX_instance-manager.>")
    config = {"name": "ZAKI_EVENTS", "subjects": ["zaki.evt.>"], "storage": "file", "num_replicas": 1,
              "retention": "limits", "max_bytes": 1 << 30, "max_age": 86400 * 10**9}
    fanout.publish("$JS.API.STREAM.CREATE.ZAKI_EVENTS", json.dumps(config).encode(),
                   "_INBOX_realtime-fanout-events.1")
    assert "error" not in json.loads(fanout.next()[2])
    manager.publish("zaki.evt.instance.7.status", b"{}", "_INBOX_instance-manager.1")
    assert json.loads(manager.next()[2]) == {"stream": "ZAKI_EVENTS", "seq": 1}


def test_a_wrong_password_and_no_password_are_refused(servers: Stack) -> None:
    port = servers.ports.get("NATS_PORT")
    for url in (f"nats://gateway:wrong@127.0.0.1:{port}", f"nats://127.0.0.1:{port}"):
        with pytest.raises(ConnectionError):
            NatsClient(url)


def test_the_config_is_accepted_by_the_server_itself(servers: Stack) -> None:
    config = servers.paths.state / "nats" / "nats.conf"
    assert config.read_text() == TEMPLATE.read_text()
    done = subprocess.run(["/usr/sbin/nats-server", "-t", "-c", str(config)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
