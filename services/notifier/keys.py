"""The notifier's part of keeping secrets: it encrypts them anew when another key is in use."""

from __future__ import annotations

from functools import partial

from libs.common.contracts.base import Nothing
from libs.common.contracts.keys import KeysOf, Rewrapped
from libs.common.contracts.notifier import keys as contract
from libs.common.contracts.notifier.channels import channel_place
from libs.common.contracts.notifier.subscriptions import signing_place
from libs.common.problems import Unavailable
from libs.common.rewrapping import SealedColumn, is_stale, rewrap, sealed_sql, uses_of
from libs.common.schedules import Schedule
from libs.common.service import Job, JobDone, Read, Table, Tx
from libs.common.vault import Vault
from services.notifier.roll import RAISE_NUMBER

CHANNEL_STALE, CHANNEL_ANEW, CHANNEL_COUNT = sealed_sql("channel", "channel_id", "secret", "fingerprint")
SIGNING_STALE, SIGNING_ANEW, SIGNING_COUNT = sealed_sql("subscription", "subscription_id", "secret", "fingerprint")
BEFORE_STALE, BEFORE_ANEW, BEFORE_COUNT = sealed_sql(
    "subscription", "subscription_id", "previous_secret", "previous_fingerprint"
)
COLUMNS = (
    SealedColumn(CHANNEL_STALE, CHANNEL_ANEW, CHANNEL_COUNT, channel_place),
    SealedColumn(SIGNING_STALE, SIGNING_ANEW, SIGNING_COUNT, signing_place),
    SealedColumn(BEFORE_STALE, BEFORE_ANEW, BEFORE_COUNT, signing_place),
)


async def show_keys(vault: Vault, read: Read, _params: Nothing) -> KeysOf:
    """Which keys there are here, and which the stored secrets need."""
    return KeysOf(service="notifier", known=vault.key_ids, uses=await uses_of(read.pool, COLUMNS))


async def rewrap_now(vault: Vault, tx: Tx, _body: Nothing) -> Rewrapped:
    """Encrypt a batch anew. Raises `Unavailable` without a key."""
    if not vault.keys:
        raise Unavailable("There is no key here: set HEADGATE_VAULT_KEY_FILE of the notifier, then restart it.")
    return await _rewrap(vault, tx)


async def watch(vault: Vault, tx: Tx) -> JobDone | None:
    """Encrypt a batch anew if there is something that another key has encrypted."""
    if not await is_stale(tx.connection, vault, COLUMNS):
        return None
    return JobDone(detail=(await _rewrap(vault, tx)).model_dump())


async def _rewrap(vault: Vault, tx: Tx) -> Rewrapped:
    await tx.connection.execute(RAISE_NUMBER)  # first, as all do; and each process reads the secrets anew
    done = await rewrap(tx.connection, vault, COLUMNS)
    tx.emit(contract.rewrapped, done, subject=done.key_id)
    return done


def table(vault: Vault) -> Table:
    """What this module answers."""
    return Table(
        commands={contract.rewrap: partial(rewrap_now, vault)},
        queries={contract.show_keys: partial(show_keys, vault)},
        jobs=(Job("secrets_rewrap", Schedule("* * * * *"), partial(watch, vault), looks=True),),
    )
