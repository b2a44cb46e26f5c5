"""The kind ``email``: one message by the installation's mail server (SMTP, RFC 5321), as plain text and HTML.

The server is the installation's own setting and no address that a user names, so it is not looked at as those are: it
stands in one's own network. Users name who gets the mail, never by whom it goes.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
import time
from dataclasses import dataclass, field
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr

import aiosmtplib
from aiosmtplib import SMTPException, SMTPRecipientsRefused, SMTPResponseException

from libs.common.contracts.notifier.channels import ChannelStop, check_address
from libs.common.personal import without_mails
from libs.common.settings import Settings
from libs.common.unsubscribe_links import GOOD_FOR, Ticket, link_of
from libs.common.vault import Vault
from services.notifier.claims import Claimed
from services.notifier.domain.attempts import webhook_id
from services.notifier.domain.escaping import line
from services.notifier.domain.message import Message
from services.notifier.kinds.request import address_of

TOTAL_S = 14.0  # what begins late still ends within the lease of a delivery
STEP_S = 10.0
MAX_SAID = 300


class MailError(Exception):
    """A mail that was not taken; ``sentence`` says why. ``final``: trying again changes nothing."""

    def __init__(self, sentence: str, *, final: bool = False) -> None:
        super().__init__(sentence)
        self.sentence, self.final = sentence, final


@dataclass(frozen=True, slots=True)
class Post:
    """The mail server. ``security``: ``starttls`` and ``tls`` are required if they are named, and certificates checked.

    ``sender``: an address, or ``Name <address>``.
    """

    host: str
    port: int
    sender: str
    security: str = "starttls"
    user: str = ""
    password: str = field(default="", repr=False)
    tls_context: ssl.SSLContext | None = None
    total_s: float = TOTAL_S

    @property
    def domain(self) -> str:
        """What ids of messages end with."""
        return parseaddr(self.sender)[1].rpartition("@")[2] or "headgate.invalid"

    async def send(self, mail: EmailMessage) -> tuple[str, float]:
        """Hand over one mail; returns what the server said, and how many milliseconds it took. Raises `MailError`."""
        started, whose = time.perf_counter(), mail["To"].addresses[0].addr_spec
        client = aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            username=self.user or None,
            password=self.password or None,
            timeout=STEP_S,
            use_tls=self.security == "tls",
            start_tls=self.security == "starttls",
            tls_context=self.tls_context or ssl.create_default_context(),
        )
        try:
            async with asyncio.timeout(self.total_s), client:
                _, said = await client.send_message(mail)
        except SMTPRecipientsRefused as error:
            refusal = error.recipients[0]
            raise _refused(refusal.code, refusal.message, whose, final=True) from None
        except aiosmtplib.SMTPDataError as error:
            raise _refused(error.code, error.message, whose, final=True) from None
        except SMTPResponseException as error:  # of a login or a sender: ours to mend, so it is tried again
            raise _refused(error.code, error.message, whose, final=False) from None
        except TimeoutError:
            raise MailError(f"The mail server took nothing within {self.total_s:g} seconds.") from None
        except (SMTPException, OSError, ssl.SSLError) as error:
            raise MailError(f"The mail server was not reached: {_said(error, whose) or type(error).__name__}") from None
        finally:
            client.close()
        return _said(said, whose), (time.perf_counter() - started) * 1000


def _said(text: object, whose: str) -> str:
    """What the server said, as it is kept: many read of deliveries who need not know whom they were for."""
    return without_mails(line(text, MAX_SAID), whose)


def _refused(code: int, said: object, whose: str, *, final: bool) -> MailError:
    """4xx is for now; 5xx is for good if it is about this recipient or this mail (RFC 5321, 4.2.1)."""
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    return MailError(f"The mail server answered {code} {_said(text, whose)}", final=final and 500 <= code < 600)


def mail_of(
    message: Message,
    claimed: Claimed,
    vault: Vault,
    post: Post,
    now: datetime,
    base_url: str = "",
) -> EmailMessage:
    """The mail. Its id is the same at each try, and what is about one trouble is one thread.

    With a ``base_url`` it names an address at which one POST ends it (RFC 8058). Raises `VaultError` if the address
    can't be opened, `MailError` for one that is none.
    """
    mail = EmailMessage(policy=SMTP)
    address = address_of(claimed, vault)
    try:
        check_address("email", address)
        user, _, host = address.rpartition("@")
        mail["From"] = post.sender
        mail["To"] = Address(username=user, domain=host)
        mail["Subject"] = line(message.title, 200)
    except ValueError as error:  # a line break, or what is no address: never a header more
        raise MailError(f"No mail can be made of this: {line(error, MAX_SAID)}", final=True) from None
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{webhook_id(claimed.event_id, claimed.lane)}@{post.domain}>"
    if message.dedup_key:
        thread = hashlib.sha256(f"{claimed.lane}\n{message.dedup_key}".encode()).hexdigest()[:32]
        mail["References"] = f"<{thread}@{post.domain}>"
    mail["Auto-Submitted"] = "auto-generated"  # so that no absence note answers (RFC 3834)
    mail["X-Headgate-Event"] = claimed.event_name
    if url := _unsubscribe(claimed, vault, base_url, now):
        mail["List-Unsubscribe"] = f"<{url}>"
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail["Content-Language"] = message.language
    mail.set_content(message.body_text)
    html = message.body_html
    mail.add_alternative(f'<!doctype html><html lang="{message.language}"><body>{html}</body></html>', subtype="html")
    return mail


def _unsubscribe(claimed: Claimed, vault: Vault, base_url: str, now: datetime) -> str:
    """Where to say: no more of these. An escalation has none: a mail program's button must not silence a duty."""
    if not base_url or claimed.channel_id is None or claimed.purpose == "escalation":
        return ""
    stop = ChannelStop(
        channel_id=claimed.channel_id, subscription_id=claimed.subscription_id, fingerprint=claimed.fingerprint
    )
    return link_of(base_url, vault, Ticket(site=claimed.site, stop=stop, until=now + GOOD_FOR))


def post_of(settings: Settings) -> Post | None:
    """The mail server of the settings; None: no mail goes out here. Raises `ValueError` for what can't work."""
    if settings.smtp_host is None:
        return None
    sender = settings.smtp_from or ""
    if "@" not in parseaddr(sender)[1] or not sender.isprintable():
        raise ValueError("HEADGATE_SMTP_FROM must be the address that mail comes from, as HEADGATE_SMTP_HOST is set.")
    password = settings.smtp_password.get_secret_value() if settings.smtp_password else ""
    if password and settings.smtp_security == "none":
        raise ValueError("HEADGATE_SMTP_SECURITY=none would send HEADGATE_SMTP_PASSWORD in clear; use starttls or tls.")
    return Post(
        settings.smtp_host, settings.smtp_port, sender, settings.smtp_security, settings.smtp_user or "",
        password,
    )  # fmt: skip
