"""A time-stamping authority for tests: OpenSSL's own, behind HTTP, with a root and a certificate of its own."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CONFIG = """
[req]
distinguished_name = dn
[dn]
[root]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
[tsa]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[tsa_config]
dir = {folder}
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


def openssl(folder: Path, *arguments: str) -> None:
    """Run it there. Raises what `subprocess.run` does."""
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=30)


class Tsa:
    """Its files in a folder: ``root.pem`` is what others trust. ``broken``: status and body that it answers instead."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, 0
        self.broken: tuple[int, bytes] | None = None
        (folder / "tsa.cnf").write_text(CONFIG.format(folder=folder))
        (folder / "serial").write_text("01\n")
        new = ("-config", "tsa.cnf", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-sha256")
        openssl(folder, "req", "-x509", *new, "-days", "30", "-subj", "/CN=test root", "-extensions", "root",
                "-keyout", "root.key", "-out", "root.pem")  # fmt: skip
        openssl(folder, "req", *new, "-subj", "/CN=test tsa", "-keyout", "tsa.key", "-out", "tsa.csr")
        openssl(folder, "x509", "-req", "-in", "tsa.csr", "-CA", "root.pem", "-CAkey", "root.key", "-days", "30",
                "-CAcreateserial", "-sha256", "-extfile", "tsa.cnf", "-extensions", "tsa",
                "-out", "tsa.pem")  # fmt: skip

    def reply(self, query: bytes) -> tuple[int, bytes]:
        """What it says."""
        self.asked += 1
        if self.broken is not None:
            return self.broken
        (self.folder / "query").write_bytes(query)
        openssl(self.folder, "ts", "-reply", "-config", "tsa.cnf", "-section", "tsa_config", "-queryfile", "query",
                "-out", "reply")  # fmt: skip
        return 200, (self.folder / "reply").read_bytes()

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Its address."""
        tsa = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                status, body = tsa.reply(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/tsr"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
