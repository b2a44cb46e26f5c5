"""The nats-server configuration that every run uses: limits, durability, users and what each may do."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

_SAFE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_SAFE_PASSWORD = re.compile(r"[A-Za-z0-9_-]{16,256}")
_ACCOUNT_KEY = re.compile(r"A[A-Z2-7]{55}")
_SAFE_SUBJECT = re.compile(r"[^\s\"\\]{1,256}")


@dataclass(frozen=True)
class NatsUser:
    """A user of the bus and the subjects it may use. An empty allow list means none at all, not all."""

    name: str
    password: str
    publish_allow: tuple[str, ...] = ()
    publish_deny: tuple[str, ...] = ()
    subscribe_allow: tuple[str, ...] = ()
    subscribe_deny: tuple[str, ...] = ()
    allow_responses: bool = False


@dataclass(frozen=True)
class Callout:
    """Who is asked about strangers: whoever is no user of the file, and brings what ``issuer`` has signed, comes in.

    ``issuer`` is the public key of an account (``A…``). ``system`` is a user of the server's own account, who may end
    connections.
    """

    issuer: str
    system: NatsUser


def nats_config(
    *,
    port: int,
    monitor_port: int,
    store_dir: str | Path,
    server_name: str,
    users: list[NatsUser],
    durable: bool,
    listen_host: str = "127.0.0.1",
    monitor_host: str = "127.0.0.1",
    max_file_store_bytes: int = 10 * 1024**3,
    callout: Callout | None = None,
) -> str:
    """The text of a nats-server 2.15 configuration. Raises ValueError for a name, password or subject not fit for it.

    `durable` fsyncs each message before its acknowledgement (`sync_interval: always`); without it a power cut loses
    acknowledged messages, so only tests go without. `js_ack_fc_v2` makes the server send acknowledgement subjects of
    the form `$JS.ACK.<domain>.<account>.<stream>.<consumer>…`; permissions must cover the old form
    `$JS.ACK.<stream>.<consumer>…` too.
    """
    _check("server name", server_name, _SAFE_NAME)
    lines = [
        f"server_name: {json.dumps(server_name)}",
        f"listen: {json.dumps(f'{listen_host}:{port}')}",
        f"http: {json.dumps(f'{monitor_host}:{monitor_port}')}",
        "max_payload: 8MB",
        "max_pending: 64MB",
        "max_control_line: 16KB",
        "max_connections: 1000",
        'write_deadline: "10s"',
        "feature_flags { js_ack_fc_v2: true }",
        "jetstream {",
        f"  store_dir: {json.dumps(str(store_dir))}",
        "  sync_interval: always" if durable else '  sync_interval: "2m"',
        f"  max_file_store: {max_file_store_bytes}",
        "  max_memory_store: 256MB",
        "}",
    ]
    return "\n".join(lines) + "\n" + users_config(users, callout)


def users_config(users: list[NatsUser], callout: Callout | None = None) -> str:
    """The part of the configuration that says who may do what, for a server whose other settings somebody else writes.

    Raises ValueError as `nats_config` does.
    """
    known = [*users, callout.system] if callout else users
    if len({user.name for user in known}) != len(known):
        raise ValueError("two NATS users have the same name")
    lines = [
        "authorization {",
        "  timeout: 5",
        "  users: [",
        *(line for user in users for line in _user_lines(user)),
        "  ]",
        *(_callout_lines(callout, [user.name for user in known]) if callout else []),
        "}",
        *(["accounts { $SYS { users: [", *_user_lines(callout.system), "] } }"] if callout else []),
    ]
    return "\n".join(lines) + "\n"


def _callout_lines(callout: Callout, names: list[str]) -> list[str]:
    """All users of the file are ``auth_users``: their passwords stay the server's business, and nobody is asked."""
    _check("issuer", callout.issuer, _ACCOUNT_KEY)
    return [f"  auth_callout {{ issuer: {json.dumps(callout.issuer)}, auth_users: {json.dumps(names)} }}"]


def _user_lines(user: NatsUser) -> list[str]:
    _check("user name", user.name, _SAFE_NAME)
    _check(f"password of {user.name}", user.password, _SAFE_PASSWORD, show=False)
    # allow_responses is for the answers to queries: one message, soon, to the subject that the request named.
    responses = ['        allow_responses: { max: 1, expires: "60s" }'] if user.allow_responses else []
    return [
        f"    {{ user: {json.dumps(user.name)}, password: {json.dumps(user.password)}, permissions: {{",
        f"        publish: {_subjects(user.publish_allow, user.publish_deny)}",
        f"        subscribe: {_subjects(user.subscribe_allow, user.subscribe_deny)}",
        *responses,
        "    } }",
    ]


def _subjects(allow: tuple[str, ...], deny: tuple[str, ...]) -> str:
    for subject in (*allow, *deny):
        _check("subject", subject, _SAFE_SUBJECT)
    if not allow:
        return '{ deny: [">"] }'  # nats-server reads an empty allow list as "everything"
    return f"{{ allow: {json.dumps(list(allow))}, deny: {json.dumps(list(deny))} }}"


def _check(what: str, value: str, pattern: re.Pattern[str], *, show: bool = True) -> None:
    if not pattern.fullmatch(value):
        raise ValueError(f"{what} must match {pattern.pattern}" + (f", not {value[:80]!r}" if show else ""))
