"""One service of a running stack is stopped and started from another terminal."""

from __future__ import annotations

import httpx2
import pytest

from deploy.local.control import Control, ask, halted
from deploy.local.servers import running_servers
from deploy.local.stack import LocalError, LocalStack


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


def test_what_is_no_part_is_left_alone(local_stack: LocalStack) -> None:
    control = Control(local_stack)
    before = local_stack.pids
    ask(local_stack.data_dir, "nonsense", halt=True)
    control.apply()
    ask(local_stack.data_dir, "nonsense", halt=False)
    assert local_stack.pids == before


def test_a_refused_second_stack_takes_nothing_from_the_first(local_stack: LocalStack) -> None:
    with pytest.raises(LocalError, match="already"):
        LocalStack(local_stack.data_dir).start()
    assert all(running_servers(local_stack.data_dir))
