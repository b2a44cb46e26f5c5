#!/usr/bin/env bash
# Writes the two locks: every package with its hashes, for Linux and macOS on Intel and ARM, and no host name.
#   requirements.lock      what the services need: the image takes this one
#   requirements-dev.lock  that, the embedded servers, and all tools: `make install` takes this one. It leaves pip out,
#                          which an environment has already: pip can't well replace itself halfway.
# Called by `make lock`. Usage: lock.sh PYTHON TOOL_VENV [--upgrade | --upgrade-package NAME]
# Versions that are locked already stay, unless they are to be upgraded.
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

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
case "${1:-} ${2:-}" in
    "--upgrade ") kept= ;;
    "--upgrade-package "?*) kept=$(grep -v "^$2==" requirements-dev.lock) ;;
    " ") kept=$(cat requirements-dev.lock) ;;
    *) echo "make lock: LOCK_ARGS is --upgrade or --upgrade-package NAME, not '$*'." >&2; exit 1 ;;
esac
# Lines such as: name==1.0 ; sys_platform == 'win32' \
sed -nE 's/^([a-z0-9-]+==[^\\]*[^\\ ]) *\\?$/    "\1",/p' <<<"$kept" >"$work/pins"
{ echo "constraint-dependencies = ["; cat "$work/pins"; echo "]"; } >"$work/constraints"
sed "/^\[tool.uv\]/r $work/constraints" pyproject.toml >"$work/pyproject.toml"
"$tools/bin/uv" lock --quiet --project "$work" || {
    echo "make lock: no locked set fits pyproject.toml. If a kept version is in the way: make lock LOCK_ARGS='--upgrade-package NAME'." >&2
    exit 1
}

# write FILE WHAT OPTION…: export a part of the resolution. Both parts come from one, so a package has one version.
write() {
    local file=$1 what=$2 body
    shift 2
    body=$("$tools/bin/uv" export --quiet --project "$work" --frozen --format requirements-txt --no-emit-workspace --no-header --no-annotate "$@")
    if grep -nE '://|^-|file:|@ ' <<<"$body"; then
        echo "make lock: the lines above name a host or a path; $file was not written. Look at uv's settings." >&2
        exit 1
    fi
    {
        echo "# $what, with hashes and without any host name."
        echo "# Made by \`make lock\` (uv export --format requirements-txt --no-emit-workspace $*). Do not edit."
        echo "$body"
    } >"$file.new"
}

write requirements.lock "Every package that the services need" --no-default-groups
write requirements-dev.lock "Every package that Headgate needs to run on one machine, test and check itself" --all-groups --all-extras --no-emit-package pip
for file in requirements.lock requirements-dev.lock; do
    mv "$file.new" "$file"
    echo "$file: $(grep -c '==' "$file") packages"
done
