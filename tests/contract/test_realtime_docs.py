"""docs/REALTIME.md says each close code and each limit that the gateway has."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
GATEWAY = ROOT / "services" / "gateway"
DOCS = (ROOT / "docs" / "REALTIME.md").read_text()
WSLAY = {"PROTOCOL_ERROR": 1002, "UNSUPPORTED_DATA": 1003, "INVALID_FRAME_PAYLOAD_DATA": 1007, "POLICY_VIOLATION": 1008,
         "MESSAGE_TOO_BIG": 1009, "INTERNAL_SERVER_ERROR": 1011}
ANSWERS = {"NORMAL", "NONE"}  # to a client's own close


def numbers():
    """{name: number} of the constants in the headers."""
    text = "".join((GATEWAY / name).read_text() for name in ("ws_client.h", "ws_frame.h"))
    return {name: int(value) for name, value in re.findall(r"#define WS_(\w+)\s+(\d+)\b", text)}


def test_every_close_code_is_documented_and_no_other():
    ours = {value for name, value in numbers().items() if name.startswith("CLOSE_") and name[6:] not in ANSWERS | {"MS"}}
    used = set(re.findall(r"WSLAY_CODE_(\w+)", (GATEWAY / "ws_reader.c").read_text()))
    assert used <= set(WSLAY), used
    told = {int(code) for code in re.findall(r"^\| (\d{4}) \|", DOCS, re.M)}
    assert told == ours | {WSLAY[name] for name in used}


def test_every_limit_is_documented():
    n = numbers()
    for row in (f"| a message | {n['FRAME_MAX']} bytes |",
                f"| messages | {n['BURST']} at once, then {n['MESSAGES_PER_S']} a second |",
                f"| frames (fragments, pings) | {n['PIECES_BURST']} at once, then {n['PIECES_PER_S']} a second |",
                f"| topics a socket | {n['TOPICS_MAX']} |",
                f"| what waits for a client | {n['QUEUE_MSGS_MAX']} events or 256 KiB |"):
        assert row in DOCS, row
