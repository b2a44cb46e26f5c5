"""One service of a running stack is stopped and started from another terminal."""

from __future__ import annotations

import httpx2
import pytest

from deploy.local_control import Control, ask, halted
from deploy.local_stack import LocalStack


def test_a_halted_service_stands_until_it_is_resumed(local_stack: LocalStack) -> None:
    control = Control(local_stack)
    headers = {"Authorization": f"Bearer {local_stack.token}"}
    latency = f"{local_stack.gateway_url}/api/ops/performance/api-latency"
    ask(local_stack.data_dir, "metrics", halt=True)
    control.apply()
    assert "metrics" not in local_stack.pids
    assert httpx2.get(latency, headers=headers).status_code == 503
    ask(local_stack.data_dir, "metrics", halt=False)
    control.apply()
    local_stack.wait_ready()
    assert httpx2.get(latency, headers=headers).status_code == 200


def test_a_new_supervisor_begins_with_everything_running(local_stack: LocalStack) -> None:
    ask(local_stack.data_dir, "audit", halt=True)
    assert halted(local_stack.data_dir) == {"audit"}
    Control(local_stack).apply()
    assert halted(local_stack.data_dir) == set()
    assert "audit" in local_stack.pids


@pytest.mark.parametrize("name", ["nats", "postgres", "nonsense"])
def test_only_services_are_halted(local_stack: LocalStack, name: str) -> None:
    control = Control(local_stack)
    before = local_stack.pids
    ask(local_stack.data_dir, name, halt=True)
    control.apply()
    ask(local_stack.data_dir, name, halt=False)
    assert local_stack.pids == before
