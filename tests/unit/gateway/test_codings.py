"""Unpacking of request bodies: every coding in any portions, cut, broken, and made to burst."""

import gzip
import random
import sys
import tracemalloc
import zlib
from collections.abc import Callable

import pytest

from libs.common.problems import Refusal, TooLarge
from services.gateway.codings import PIECE_BYTES, Intake

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MIB = 1024 * 1024
TEXT = b"".join(b'<testcase name="t%d"/>\n' % number for number in range(40_000))


def bare_deflate(content: bytes) -> bytes:
    """RFC 1951 without the wrapper of RFC 1950."""
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(content) + packer.flush()


PACKERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "bare deflate": ("deflate", bare_deflate),
    "zstd": ("zstd", zstd.compress),
    "none": ("", bytes),
}


def unpack(coding: str, data: bytes, *, portion: int = 65536, cap: int = 8 * MIB) -> bytes:
    """The whole body as an Intake gives it."""
    pieces: list[bytes] = []
    intake = Intake(coding, cap, pieces.append)
    for start in range(0, len(data), portion):
        intake.take(data[start : start + portion])
    intake.end()
    assert all(0 < len(piece) <= max(PIECE_BYTES, portion) for piece in pieces)
    assert intake.size == sum(map(len, pieces))
    return b"".join(pieces)


@pytest.mark.parametrize("name", PACKERS)
@pytest.mark.parametrize("portion", [1, 7, 1000, MIB])
def test_a_body_arrives_in_any_portions(name: str, portion: int) -> None:
    coding, pack = PACKERS[name]
    content = TEXT if portion > 7 else TEXT[:5000]
    assert unpack(coding, pack(content), portion=portion) == content


@pytest.mark.parametrize("name", PACKERS)
def test_what_can_not_be_packed_is_read_up_to_the_cap(name: str) -> None:
    coding, pack = PACKERS[name]
    content = random.Random(1).randbytes(MIB)
    assert unpack(coding, pack(content), cap=MIB) == content
    with pytest.raises(TooLarge) as refused:
        unpack(coding, pack(content + b"x"), cap=MIB)
    assert refused.value.extra == {"max_bytes": MIB}


@pytest.mark.parametrize("name", [name for name in PACKERS if name != "none"])
def test_a_bomb_stops_at_the_cap_and_costs_no_memory(name: str) -> None:
    coding, pack = PACKERS[name]
    bomb = pack(bytes(64 * MIB))
    taken = 0

    def sink(piece: bytes) -> None:
        nonlocal taken
        taken += len(piece)

    tracemalloc.start()
    intake = Intake(coding, MIB, sink)
    with pytest.raises(TooLarge):
        intake.take(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken <= MIB
    assert peak < 4 * MIB


@pytest.mark.parametrize("name", [name for name in PACKERS if name != "none"])
def test_a_body_that_is_cut_off_or_damaged_is_refused(name: str) -> None:
    coding, pack = PACKERS[name]
    whole = pack(TEXT)
    for broken in (whole[:-1], whole[: len(whole) // 2], whole[:1], b"<testsuite/>", b"\x00" * 40):
        with pytest.raises(Refusal, match="send it whole") as refused:
            unpack(coding, broken)
        assert refused.value.status == 400


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress])
def test_packed_parts_in_a_row_are_one_body(pack: Callable[[bytes], bytes]) -> None:
    coding = "gzip" if pack is gzip.compress else "zstd"
    assert unpack(coding, pack(TEXT) + pack(b"") + pack(b"more"), portion=100) == TEXT + b"more"


def test_parts_that_hold_nothing_can_not_go_on_for_ever() -> None:
    with pytest.raises(TooLarge):
        unpack("gzip", gzip.compress(b"") * 100_000, cap=MIB)


def test_after_gzip_there_may_be_zeros_and_nothing_else() -> None:
    packed = gzip.compress(TEXT)
    assert unpack("gzip", packed + bytes(1000), portion=100) == TEXT
    for garbage in (b"garbage", bytes(10) + b"x", packed[:20]):
        with pytest.raises(Refusal):
            unpack("gzip", packed + garbage)
    for packed in (zlib.compress(TEXT), bare_deflate(TEXT)):
        for portion in (100, MIB):
            with pytest.raises(Refusal, match="after its end"):
                unpack("deflate", packed + b"x" * 200, portion=portion)


def test_zstd_may_not_ask_for_more_memory_than_browsers_give() -> None:
    big = {
        int(zstd.CompressionParameter.window_log): 27,
        int(zstd.CompressionParameter.enable_long_distance_matching): 1,
    }
    packer = zstd.ZstdCompressor(options=big)
    with pytest.raises(Refusal):
        unpack("zstd", packer.compress(TEXT) + packer.flush())


def test_a_body_without_a_byte_is_empty_in_every_coding() -> None:
    for coding in ("gzip", "deflate", "zstd", ""):
        assert unpack(coding, b"") == b""
