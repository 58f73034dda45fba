# shellcheck shell=bash
# What every command says to its user, and how it runs what takes long. Progress goes to stderr; stdout is for results.

KFAST_COMMAND=$(basename -- "$0")

# say TEXT…: one line of progress.
say() { printf '%s: %s\n' "$KFAST_COMMAND" "$*" >&2; }

# die TEXT…: the cause and the cure, then out.
die() {
  say "error: $*"
  exit 1
}

QUIETLY_GROUPS=()

# Ends what `quietly` has under way; for the EXIT trap, so that Ctrl-C leaves nothing running.
stop_quietly() {
  local group
  for group in "${QUIETLY_GROUPS[@]}"; do kill -TERM -- "-$group" 2>/dev/null || true; done
  QUIETLY_GROUPS=()
}

# Makes a signal an orderly exit. A command with more to tidy up sets its own EXIT trap, which calls stop_quietly.
trap stop_quietly EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

show_life() {
  local log=$1 waited=0
  while sleep 20; do
    waited=$((waited + 20))
    say "… $waited s $(tail -n 1 "$log" | tr -d '\r' | cut -c 1-100)"
  done
}

# quietly LOG COMMAND…: runs COMMAND with its output in LOG; shows the end of LOG when it fails, and a sign of life
# every 20 s while it runs, for people and for machines without a terminal alike.
quietly() {
  local log=$1 command ticker status=0
  shift
  : >"$log"
  # Monitor mode gives both a process group of their own: they and their children end together.
  set -m
  "$@" >"$log" 2>&1 </dev/null &
  command=$!
  show_life "$log" </dev/null &
  ticker=$!
  set +m
  QUIETLY_GROUPS=("$command" "$ticker")
  wait "$command" || status=$?
  { kill -TERM -- "-$ticker" && wait "$ticker"; } 2>/dev/null || true
  QUIETLY_GROUPS=()
  if [ "$status" -ne 0 ]; then
    say "failed ($status): $(cut -c 1-150 <<<"$*")"
    tail -n 60 "$log" | sed 's/^/    /' >&2
  fi
  return "$status"
}
