"""Turns itself into a server process that ends when its parent ends.

Run by path, with the standard library only: ``python -I -S child.py PARENT_PID SIGNAL -- PROGRAM ARGS…``.
The kernel sends SIGNAL to the server as soon as the parent thread is gone (Linux ``PR_SET_PDEATHSIG``), so a supervisor
that is killed with -9 leaves no server behind. Other systems have no such call: there a lone server stays, and the next
start finds its lock and says so. The process id does not change: the program replaces this one.
"""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def main(arguments: list[str]) -> None:
    """Ask for the death signal, then become the program. Exits 1 when the parent is already gone."""
    parent_pid, death_signal, separator, *command = arguments
    if separator != "--" or not command:
        sys.exit("child: wanted PARENT_PID SIGNAL -- PROGRAM ARGS…")
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0:
            sys.exit(f"child: prctl failed: {os.strerror(ctypes.get_errno())}")
    # A parent that died before the call above sends no signal any more.
    if os.getppid() != int(parent_pid):
        sys.exit("child: the parent process is gone")
    os.execv(command[0], command)  # noqa: S606 - the list comes from our own code, no shell is involved


if __name__ == "__main__":
    main(sys.argv[1:])
