"""POST /auth/login beside the hash alone (bench-hash.c): by turns, so that both meet the same machine."""

from __future__ import annotations

import statistics
import subprocess

from common import Bench, Section, find_program, table, verdict

LOGINS_A_ROUND = 15


def measure(bench: Bench) -> Section:
    person, logins, hashes = bench.person, [], []
    door = person.api.as_user("")
    body = {"email": person.email, "password": person.password}
    with subprocess.Popen([find_program("bench-hash")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin and child.stdout and child.stdout.readline() == "ready\n"
        for _ in range(bench.rounds * LOGINS_A_ROUND):
            print(file=child.stdin, flush=True)
            hashes.append(float(child.stdout.readline()))
            answer = door.post("/auth/login", body)
            if answer.status != 200:
                raise SystemExit(f"the run is void: {answer}")
            logins.append(answer.seconds * 1000)
        child.stdin.close()
    ratio = statistics.median(logins) / statistics.median(hashes)
    bench.say(f"login {statistics.median(logins):.1f} ms, the hash alone {statistics.median(hashes):.1f} ms")

    def row(name: str, times: list[float]) -> list[str]:
        tenths = statistics.quantiles(times, n=10)
        return [name, f"{statistics.median(times):.1f}", f"{tenths[0]:.1f}", f"{tenths[8]:.1f}",
                f"{statistics.median(times) / statistics.median(hashes):.2f}"]

    return Section(
        [["POST /api/auth/login", "≤ 1.15 × the hash alone", f"{ratio:.2f} ×", verdict(ratio <= 1.15)]],
        ["## Sign-in", "",
         f"{len(logins)} sign-ins and {len(hashes)} checks of a hash by libsodium alone, by turns, one at a time.", "",
         *table(["", "p50 ms", "p10 ms", "p90 ms", "÷ the hash"], [row("the hash alone", hashes), row("POST /api/auth/login", logins)]),
         ""])
