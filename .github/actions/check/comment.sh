#!/usr/bin/env bash
# Keep one comment of this job on the pull request: our own that carries the mark is changed, else one is made. A token that may not
# comment, as of a fork's pull request, fails nothing.
set -euo pipefail
mark="<!-- limitbench check $(printf %s "$NAME" | sha256sum | head -c 12) -->"
if [ ! -f "$MARKDOWN" ]; then echo "there is no $MARKDOWN to show"; exit 0; fi
body=$(mktemp)
echo "$mark" > "$body"
if [ "$(wc -c < "$MARKDOWN")" -le 60000 ]; then
  cat "$MARKDOWN" >> "$body"
else                                # whole lines of the beginning: the verdict, the causes and the gates stand there
  head -c 50000 "$MARKDOWN" | sed '$d' >> "$body"
  printf '\n\n</details>\n\nThe report is longer; the whole of it is %s of this run.\n' "$MARKDOWN" >> "$body"
fi
if ! { found=$(gh api --paginate "repos/$REPOSITORY/issues/$PULL_REQUEST/comments" \
    --jq ".[] | select(.user.type == \"Bot\") | select(.body | startswith(\"$mark\")) | .id" | head -n 1)
  if [ -n "$found" ]; then
    gh api --silent --method PATCH "repos/$REPOSITORY/issues/comments/$found" --field "body=@$body"
  else
    gh api --silent --method POST "repos/$REPOSITORY/issues/$PULL_REQUEST/comments" --field "body=@$body"
  fi; }; then
  echo "::warning title=limitbench::the comment could not be written; the token needs pull-requests: write"
fi
