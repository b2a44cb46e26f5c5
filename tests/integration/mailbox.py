"""A mail server for tests: a real SMTP server with STARTTLS that does as a test says, and keeps what it was sent."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.notifier.kinds.mail import Post

USER, PASSWORD = "headgate", "theMailPassword"


@dataclass
class Mailbox:
    """``says``: answers by recipient instead of taking the mail; ``hangs``: nothing is answered to data."""

    port: int = 0
    context: ssl.SSLContext | None = None
    got: list[EmailMessage] = field(default_factory=list)
    says: dict[str, str] = field(default_factory=dict)
    says_data: str = "250 2.0.0 taken"
    hangs: bool = False
    encrypted: list[bool] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def post(self, **more: Any) -> Post:
        """How the notifier reaches it."""
        known = {"host": "127.0.0.1", "port": self.port, "sender": "Headgate <headgate@example.com>",
                 "user": USER, "password": PASSWORD, "tls_context": self.context}  # fmt: skip
        return Post(**{**known, **more})

    async def wait_for(self, count: int = 1) -> list[EmailMessage]:
        """Await so many mails."""
        async with asyncio.timeout(15), self.changed:
            await self.changed.wait_for(lambda: len(self.got) >= count)
        return self.got

    async def handle_RCPT(  # noqa: N802 - names of aiosmtpd
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Each recipient is answered as the test says."""
        said = self.says.get(address, "250 2.1.5 ok")
        if said.startswith("2"):
            envelope.rcpt_tos.append(address)
        return said

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep the mail."""
        if self.hangs:
            await asyncio.Event().wait()
        async with self.changed:
            if self.says_data.startswith("2"):
                content = envelope.content
                assert isinstance(content, bytes)
                found = message_from_bytes(content, policy=default)
                assert isinstance(found, EmailMessage)
                self.got.append(found)
                self.encrypted.append(session.ssl is not None)
            self.changed.notify_all()
        return self.says_data

    def check(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        """Whether user and password are right."""
        right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=right, handled=False)


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "mail.crt", folder / "mail.key"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


@asynccontextmanager
async def mail_server(folder: Path, *, starttls: bool = True) -> AsyncIterator[Mailbox]:
    """A mailbox on a free port; with ``starttls`` it takes nothing before the connection is encrypted."""
    box, (crt, key) = Mailbox(), certificate(folder)
    offered = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    offered.load_cert_chain(crt, key)
    box.context = ssl.create_default_context(cafile=str(crt))

    def protocol() -> SMTP:
        return SMTP(
            box, tls_context=offered if starttls else None, require_starttls=starttls, authenticator=box.check,
            auth_required=starttls, auth_require_tls=starttls, hostname="mail.example.com",
        )  # fmt: skip

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        server.close()
