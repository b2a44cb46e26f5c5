"""``headgate audit witness``: another party's program that cosigns what an audit log shows, if it only grew."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from libs.client.commands.audit_tree import trusted_keys
from libs.client.errors import UsageProblem
from libs.client.session import Session
from libs.tlog.mldsa import MAX_NAME_BYTES, fits
from libs.tlog.notes import NoteProblem

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

    from libs.tlog.cosignatures import Cosigner
    from libs.witness.state import State

MAX_AT_ONCE = 100


def witness_log(
    session: Session,
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="The witness's name, best its address without https://.")
    ],
    log: Annotated[
        list[str], typer.Option("--log", metavar="KEY", help="The key of a log to watch, or its file; repeatable.")
    ],
    folder: Annotated[
        str, typer.Option("--folder", metavar="FOLDER", help="Where its private keys and its memory lie.")
    ] = "witness",
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="The port to listen on.")] = 8090,
    show_key: Annotated[
        bool,
        typer.Option(
            "--show-key",
            help="Print the public keys (Ed25519, ML-DSA-44), of which the log's operator names one, and end.",
        ),
    ] = False,
) -> None:
    """Be a witness of audit logs (C2SP tlog-witness): cosign a log's checkpoint only if the log just grew.

    Run it on a machine of another party than the log's. It asks nobody; the log sends it its checkpoints. At the first
    start it makes its private keys. Never set its folder back to an older copy: it would forget what it has seen.
    """
    import uvicorn

    from libs.common.http_server import server_config
    from libs.witness.app import Witness, make_app

    logs = trusted_keys(log)
    if not logs:
        raise UsageProblem("--log names no key; headgate audit keys lists those of a log.")
    target = Path(folder)
    cosigner = _cosigner(name, target)
    keys = [one.text for one in cosigner.keys]
    if long := next((one.name for one in logs if not fits(one.name)), None):
        raise UsageProblem(f"--log {long[:60]}…: with ML-DSA-44 a log's name has at most {MAX_NAME_BYTES} bytes.")
    if show_key:
        if session.json:
            session.emit({"witness": keys[0], "witness_ml_dsa_44": keys[1]})
        else:
            session.text("\n".join(keys))  # never folded, however long
        return
    state = _state(target)
    witness = Witness(cosigner, logs, state, time.time, session.note)
    names = ", ".join(sorted({one.name for one in logs}))
    session.note(f"{cosigner.key.name} watches {names} on http://{host}:{port}; its keys:\n" + "\n".join(keys))
    config = server_config(make_app(witness), host=host, port=port, lifespan=False)
    config.limit_concurrency = MAX_AT_ONCE
    try:
        uvicorn.Server(config).run()
    finally:
        state.close()


def _cosigner(name: str, folder: Path) -> Cosigner:
    """The keys in the folder, each made if it is not there. Raises `UsageProblem`."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

    from libs.tlog.cosignatures import Cosigner

    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        pems = [
            _key(folder / "key.pem", Ed25519PrivateKey.generate),
            _key(folder / "key-ml-dsa-44.pem", MLDSA44PrivateKey.generate),
        ]
        return Cosigner.read(name, *pems)
    except OSError as error:
        raise UsageProblem(f"{error.filename or folder} can't be used: {error.strerror}.") from error
    except NoteProblem as error:
        raise UsageProblem(f"a key in {folder}, or --name {name[:100]}: {error}.") from error


def _key(path: Path, generate: Callable[[], Ed25519PrivateKey | MLDSA44PrivateKey]) -> bytes:
    from cryptography.hazmat.primitives import serialization

    if path.exists():
        return path.read_bytes()
    pem = generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    return pem


def _state(folder: Path) -> State:
    from libs.witness.state import State

    try:
        return State(folder / "seen.db")
    except sqlite3.Error as error:
        raise UsageProblem(f"{folder / 'seen.db'} can't be used: {error}.") from error
