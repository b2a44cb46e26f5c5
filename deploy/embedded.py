"""Real servers without Docker, from the wheels in `.venv`: what local runs and tests start.

See `embedded_postgres`, `embedded_nats` and `embedded_server` for how; everything that callers need is named here.
"""

from deploy.embedded_nats import NatsUser, nats_config, start_nats
from deploy.embedded_postgres import start_postgres
from deploy.embedded_server import EmbeddedError, Server, free_port, free_ports

__all__ = [
    "EmbeddedError",
    "NatsUser",
    "Server",
    "free_port",
    "free_ports",
    "nats_config",
    "start_nats",
    "start_postgres",
]
