#!/usr/bin/env bash
# Install limitbench: the version of the action's tag, with the extras that the tier needs, into the caller's Python or a new environment.
set -euo pipefail
extras=$EXTRAS
if [ -z "$extras" ] && [ "$TIER" != fast ]; then extras=all; fi
version=$VERSION
if [ -z "$version" ] && [[ "$ACTION_REF" =~ ^v[0-9]+\.[0-9]+\.[0-9]+$ ]]; then version="==${ACTION_REF#v}"; fi
case $version in
  "" | [=\<\>~!]*) wanted="limitbench${extras:+[$extras]}$version" ;;
  *) wanted="$version${extras:+[$extras]}" ;;
esac
python=$PYTHON
if [ -z "$python" ]; then
  if [ ! -x "$RUNNER_TEMP/limitbench/bin/python" ]; then python -m venv "$RUNNER_TEMP/limitbench"; fi
  python="$RUNNER_TEMP/limitbench/bin/python"
fi
"$python" -m pip install --quiet --disable-pip-version-check "$wanted"
echo "python=$python" >> "$GITHUB_OUTPUT"
