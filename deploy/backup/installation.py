"""Which installation is meant: that of the administrators' addresses, the one that runs on the data folder, or, to
restore into, one that is stopped: then its embedded servers run just for that.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deploy.backup.bucket import BucketStore, is_bucket, open_bucket
from deploy.backup.create import Source
from deploy.backup.manifest import BackupError
from deploy.backup.sealing import Keys
from deploy.backup.store import Store
from deploy.embedded import EmbeddedError
from deploy.installation import InstallationError, keeper_token
from deploy.local.options import Options
from deploy.local.process import Child
from deploy.local.servers import Servers, claim, close_claim, running_servers
from deploy.local.stack import silent
from libs.common.settings import Settings
from libs.common.vault import Vault, VaultError

PATIENCE_S = 600.0  # the keeper may be at it


def store_of(settings: Settings, given: str | None) -> Store:
    """Where backups lie: the given folder or bucket, the setting's, or the folder in the data folder.

    Raises `BackupError` for the address of a bucket that is none.
    """
    place, own = given or settings.backup_dir, settings.data_dir / "backups"
    if place and is_bucket(place):
        return BucketStore(own.absolute(), PATIENCE_S, open_bucket(place), place)
    return Store(Path(place or own).absolute(), PATIENCE_S)


def own_secret(settings: Settings) -> str:
    """This installation's cluster secret. Raises `BackupError` where none is given or kept, or it can't be used: one
    that is made up here and now would be no installation's.
    """
    options = Options.from_settings(settings)
    if options.cluster_secret is None and not options.has_kept_secret:
        raise BackupError(
            f"There is no cluster secret in {options.data_dir}, by which an installation knows its own: set "
            "HEADGATE_CLUSTER_SECRET, or HEADGATE_DATA_DIR to the installation's folder."
        )
    try:
        return options.secret()
    except InstallationError as error:
        raise BackupError(str(error)) from error


def own_token(settings: Settings) -> str:
    """The keeper's token of this installation: whoever has its cluster secret may report. Raises `BackupError`."""
    return keeper_token(own_secret(settings))


def keys_of(settings: Settings) -> Keys:
    """The keys of backups, none without a key file. Raises `BackupError` for a file that can't be read."""
    if settings.backup_key_file is None:
        return Keys()
    try:
        return Keys(tuple(Vault.read(settings.backup_key_file).keys))
    except VaultError as error:
        raise BackupError(str(error)) from None


@contextmanager
def installation(settings: Settings, *, stopped: bool = False) -> Iterator[Source]:
    """The installation's servers, as an administrator. ``stopped``: one that does not run will do, too.

    Raises `BackupError` where there are no servers, and what starting them raises.
    """
    options = Options.from_settings(settings)
    running_database, running_nats = running_servers(options.data_dir)
    database_url = options.admin_database_url or running_database
    nats_url = options.admin_nats_url or running_nats
    if database_url and nats_url:
        # Only what is restored may come to a place that has no secret yet.
        secret = options.secret() if stopped else own_secret(settings)
        yield Source(database_url, nats_url, options.namespace, secret)
    elif stopped:
        with _started(options) as source:
            yield source
    else:
        raise BackupError(
            f"Nothing runs on {options.data_dir}: start Headgate (`make up`), or set HEADGATE_ADMIN_DATABASE_URL and "
            "HEADGATE_ADMIN_NATS_URL."
        )


@contextmanager
def _started(options: Options) -> Iterator[Source]:
    """Servers without services, and without the admin step: what is half restored is not to be migrated."""
    ours = claim(options.data_dir)
    children: list[Child] = []
    try:
        servers = Servers(options, lambda line: silent("headgate", line))
        children += [begin() for begin in servers.starters().values()]
        yield Source(servers.database_url, servers.nats_url, options.namespace, options.secret())
    finally:
        for child in reversed(children):
            with suppress(EmbeddedError, OSError):
                child.stop()
        close_claim(options.data_dir, ours)
