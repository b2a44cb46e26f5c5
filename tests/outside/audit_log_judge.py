"""Run by Python 3.12 or newer in an environment of its own: aics-tlog judges a mirror of our log.

Arguments: folder, the log's key, keys of witnesses that must have cosigned. Ends with 0 and ``proven <size>``, or with
3 and what the library says.
"""

import sys
from pathlib import Path

from aics_tlog import (  # type: ignore[import-not-found]
    FileSystemTileReader,
    audit_tiles,
    parse_checkpoint,
    parse_note,
    parse_vkey,
    verify_checkpoint,
)

folder, key = Path(sys.argv[1]), parse_vkey(sys.argv[2])
witnesses = [parse_vkey(one) for one in sys.argv[3:]]
try:
    note = parse_note((folder / "checkpoint").read_bytes())
    verdict = verify_checkpoint(note, key, witnesses, quorum=len(witnesses))
    if not verdict.ok:
        raise ValueError(verdict.error)
    point = parse_checkpoint(note.text)
    report = audit_tiles(FileSystemTileReader(folder), point.size, point.root)
except Exception as error:  # whatever the library raises is its refusal
    print(f"{type(error).__name__}: {error}")
    sys.exit(3)
print(f"proven {report.size} {report.tiles} tiles {report.bundles} bundles {verdict.cosignature_count} cosignatures")
