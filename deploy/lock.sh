#!/usr/bin/env bash
# Writes requirements.lock: every package with its hashes, for Linux and macOS on Intel and ARM, and no host name.
# Called by `make lock`. Usage: lock.sh PYTHON TOOL_VENV [--upgrade]
set -euo pipefail
python=$1
tools=$2
shift 2

[[ -x $tools/bin/uv ]] || { "$python" -m venv "$tools" && "$tools/bin/python" -m pip install --quiet --disable-pip-version-check uv; }

# The index that pip uses here, if it is not the public one. Extra indexes and find-links folders stay out: what they
# hold is not there on other machines.
index=${PIP_INDEX_URL:-$("$tools/bin/python" -m pip config get global.index-url 2>/dev/null || true)}
if [[ -n $index ]]; then export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$index}; fi
unset UV_FIND_LINKS UV_INDEX UV_EXTRA_INDEX_URL

# Versions in an existing uv.lock (git-ignored) are kept where they still fit; without that file the newest are taken.
"$tools/bin/uv" lock --quiet "$@"
body=$("$tools/bin/uv" export --quiet --frozen --format requirements-txt --no-emit-workspace --all-groups --no-header --no-annotate)
if grep -nE '://|^-|file:|@ ' <<<"$body"; then
    echo "make lock: the lines above name a host or a path; the lock was not written. Look at uv's settings." >&2
    exit 1
fi
{
    echo "# Every package that Headgate needs to run, test and check itself, with hashes and without any host name."
    echo "# Made by \`make lock\` (uv export --format requirements-txt --no-emit-workspace --all-groups). Do not edit."
    echo "$body"
} >requirements.lock.new
mv requirements.lock.new requirements.lock
echo "requirements.lock: $(grep -c '==' requirements.lock) packages"
