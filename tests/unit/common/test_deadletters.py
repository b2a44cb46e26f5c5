"""Dead letters as they are shown."""

import pytest

from libs.common.deadletters import masked


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            '{"clientaddress":"192.0.2.7","clientagent":"a \\"b\\" c","site":"north"}',
            '{"clientaddress":"masked","clientagent":"masked","site":"north"}',
        ),
        (
            '{"data":{"client_address": "2001:db8::1","client_agent" :"x"}}',
            '{"data":{"client_address": "masked","client_agent" :"masked"}}',
        ),
        (
            '{"data":{"address":"192.0.2.7","agent":"x","session_id":7}}',
            '{"data":{"address":"masked","agent":"masked","session_id":7}}',
        ),
        ('{"items":[{"who":"address:192.0.2.7"},{"who":"ann"}]}', '{"items":[{"who":"address:masked"},{"who":"ann"}]}'),
        ('{"clientaddress":"192.0.2.7", broken', '{"clientaddress":"masked", broken'),
        ('{"title":"an address: none"}', '{"title":"an address: none"}'),
        ("", ""),
    ],
)  # fmt: skip
def test_where_a_sender_was_is_not_shown(text: str, shown: str) -> None:
    assert masked(text) == shown
