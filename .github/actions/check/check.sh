#!/usr/bin/env bash
# Run limitbench check on every configuration, write all reports whatever the exit code, and end with that code.
set -euo pipefail
arguments=(--tier "$TIER" --fail-on "$FAIL_ON" -o text -o github -o "json=$JSON" -o "markdown=$MARKDOWN")
while IFS= read -r config; do
  if [ -n "$config" ]; then arguments+=(--config "$config"); fi
done <<< "$CONFIG"
case ${NO_EXEC,,} in
  false | "" | no | 0) ;;
  *) arguments+=(--no-exec) ;;      # whatever else was meant, nothing is run
esac
rm -f "$JSON" "$MARKDOWN"           # what the pull request brought is no report
if [ -n "$SARIF" ]; then arguments+=(-o "sarif=$SARIF"); fi
if [ -n "$JUNIT" ]; then arguments+=(-o "junit=$JUNIT"); fi
code=0
"${LIMITBENCH_PYTHON:-python}" -m limitbench check "${arguments[@]}" || code=$?
case $code in
  0) verdict=passed ;;
  1) verdict=violated ;;
  3) verdict=undecided ;;
  *) verdict=broken ;;
esac
{ echo "verdict=$verdict"; echo "exit-code=$code"; } >> "$GITHUB_OUTPUT"
exit "$code"
