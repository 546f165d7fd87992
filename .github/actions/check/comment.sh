#!/usr/bin/env bash
# Keep one comment on the pull request: the one that carries the mark is changed, else one is made.
set -euo pipefail
mark="<!-- limitbench check -->"
if [ ! -f "$MARKDOWN" ]; then echo "there is no $MARKDOWN to show"; exit 0; fi
body=$(mktemp)
{ echo "$mark"; head -c 60000 "$MARKDOWN"; } > "$body"
found=$(gh api --paginate "repos/$REPOSITORY/issues/$PULL_REQUEST/comments" --jq ".[] | select(.body | startswith(\"$mark\")) | .id" | head -n 1)
if [ -n "$found" ]; then
  gh api --silent --method PATCH "repos/$REPOSITORY/issues/comments/$found" --field "body=@$body"
else
  gh api --silent --method POST "repos/$REPOSITORY/issues/$PULL_REQUEST/comments" --field "body=@$body"
fi
