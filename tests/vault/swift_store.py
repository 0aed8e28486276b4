"""OpenStack Swift with its S3 API: another real implementation, which checks signatures itself."""

from __future__ import annotations

import hashlib
import http.client
import os
import socket
import subprocess
import time
from pathlib import Path

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from s3 import free_port

PYTHON = "/usr/bin/python3"
KEYS = {"R2_ACCESS_KEY_ID": "zaki:zaki", "R2_SECRET_ACCESS_KEY": "of-the-test"}
LISTED_AT_ONCE = 7
RINGS = """
import sys
from swift.common.ring import RingBuilder
builder = RingBuilder(1, 1, 0)
builder.add_dev({"id": 0, "region": 1, "zone": 1, "weight": 1.0, "ip": "127.0.0.1", "port": int(sys.argv[2]), "device": "d",
                 "meta": "", "replication_ip": "127.0.0.1", "replication_port": int(sys.argv[2])})
builder.rebalance()
builder.get_ring().save(sys.argv[1])
"""
SETTINGS = """[DEFAULT]
swift_dir = {folder}
devices = {folder}
mount_check = false
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = root
log_level = ERROR
"""
PROXY = """[pipeline:main]
pipeline = catch_errors cache s3api tempauth slo proxy-server
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:cache]
# It wants a cache to ask, not that one answers.
use = egg:swift#memcache
memcache_servers = 127.0.0.1:1
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
max_bucket_listing = {listed}
force_swift_request_proxy_log = false
[filter:tempauth]
use = egg:swift#tempauth
user_zaki_zaki = {secret} .admin
[filter:slo]
use = egg:swift#slo
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
"""
PART = """[pipeline:main]
pipeline = {part}-server
[app:{part}-server]
use = egg:swift#{part}
"""


class Swift:
    """Four processes on free ports, with a bucket."""

    def __init__(self, folder: Path, skew_s: int = 0) -> None:
        self.folder, self.skew_s = folder, skew_s
        self.children: list[subprocess.Popen[bytes]] = []
        (folder / "d").mkdir(parents=True)
        (folder / "swift.conf").write_text("[swift-hash]\nswift_hash_path_suffix = a\nswift_hash_path_prefix = b\n")
        for part in ("account", "container", "object"):
            port = free_port()
            subprocess.run([PYTHON, "-c", RINGS, str(folder / f"{part}.ring.gz"), str(port)], check=True, timeout=60)
            self.start(part, port, PART.format(part=part))
        self.port = free_port()
        self.start("proxy", self.port, PROXY.format(listed=LISTED_AT_ONCE, secret=KEYS["R2_SECRET_ACCESS_KEY"]))
        for port in self.ports:
            self.wait(port)

    def start(self, part: str, port: int, more: str) -> None:
        (self.folder / f"{part}.conf").write_text(SETTINGS.format(folder=self.folder, port=port) + more)
        with open(self.folder / f"{part}.log", "wb") as log:
            self.children.append(subprocess.Popen(
                [PYTHON, str(Path(__file__).with_name("swift_part.py")), str(self.folder), part], stdout=log, stderr=log,
                env={**os.environ, "SKEW_S": str(self.skew_s)}))
        self.ports = [*getattr(self, "ports", []), port]

    def wait(self, port: int) -> None:
        for _ in range(600):
            if any(child.poll() is not None for child in self.children):
                break
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.1)
        logs = "".join(p.read_text() for p in self.folder.glob("*.log"))
        raise RuntimeError(f"Swift does not start: {logs}")

    @property
    def url(self) -> str:
        """It knows no encryption by request: the header that asks for it is left out."""
        return f"s3+http://127.0.0.1:{self.port}/zaki/some/where?region=us-east-1&sse="

    def make_bucket(self) -> None:
        host = f"127.0.0.1:{self.port}"
        request = AWSRequest("PUT", f"http://{host}/zaki", {"Host": host, "x-amz-content-sha256": hashlib.sha256(b"").hexdigest()}, b"")
        S3SigV4Auth(Credentials(*KEYS.values()), "s3", "us-east-1").add_auth(request)
        conn = http.client.HTTPConnection(host, timeout=30)
        conn.request("PUT", "/zaki", b"", dict(request.headers.items()))
        answer = conn.getresponse()
        assert answer.status == 200, answer.read()
        conn.close()

    def end(self) -> None:
        for child in self.children:
            child.terminate()
        for child in self.children:
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait(10)
