"""Real servers without Docker, from the wheels in `.venv`: what local runs and tests start.

See `postgres`, `nats` and `server` for how; everything that callers need is named here.
"""

from deploy.embedded.nats import start_nats
from deploy.embedded.postgres import start_postgres
from deploy.embedded.server import EmbeddedError, Server, free_port, free_ports

__all__ = [
    "EmbeddedError",
    "Server",
    "free_port",
    "free_ports",
    "start_nats",
    "start_postgres",
]
