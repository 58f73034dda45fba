# shellcheck shell=bash
# Stages: named steps of a long run. Each is timed, its tests are counted, and one that fails does not stop the rest.
# A stage NAME is a function stage_NAME (dashes become underscores). Needs say.sh.

STAGE_ROWS=()
STAGES_PASSED=0
STAGES_FAILED=0
STAGES_BROKEN=0
STAGES_FAILING=()

# run_stage NAME: runs it, adds its row to the table, and sets STAGE_OK to 1 or 0.
run_stage() {
  local name=$1 started=$SECONDS status=0 verdict=ok passed failed
  STAGE_RESULTS=$KFAST_ROOT/build/results/$name
  rm -rf "$STAGE_RESULTS"
  mkdir -p "$STAGE_RESULTS"
  STAGE_OK=1
  say "stage $name"
  # In a subshell, and asked for its status that way: `set -e` stays in force inside.
  set +e
  (
    set -e
    # A subshell starts without traps.
    trap stop_quietly EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    "stage_${name//-/_}"
  )
  status=$?
  set -e
  case $status in 130 | 143) exit "$status" ;; esac
  read -r passed failed < <(count_results "$STAGE_RESULTS")
  if [ "$status" -ne 0 ] || [ "$failed" -gt 0 ]; then
    verdict=FAILED
    # shellcheck disable=SC2034  # for the caller
    STAGE_OK=0
    STAGES_BROKEN=$((STAGES_BROKEN + 1))
    STAGES_FAILING+=("$name")
    # A stage that broke before or beside its tests is a failure, too.
    if [ "$failed" -eq 0 ]; then failed=1; fi
    case $name in
      setup | build) say "stage $name failed" ;;
      *) say "stage $name failed. To run only it:  tools/test --stage $name" ;;
    esac
  fi
  # It has said why; what did not run counts neither as passed nor as failed.
  if [ -e "$STAGE_RESULTS/not-run" ]; then verdict="not run"; fi
  STAGES_PASSED=$((STAGES_PASSED + passed))
  STAGES_FAILED=$((STAGES_FAILED + failed))
  STAGE_ROWS+=("$(printf '%-14s %-7s %7s %7s %9s' "$name" "$verdict" "$passed" "$failed" \
    "$(minutes $((SECONDS - started)))")")
}

# skip_stage NAME WHY: a row that says what did not run; it counts as a failure.
skip_stage() {
  STAGES_BROKEN=$((STAGES_BROKEN + 1))
  STAGES_FAILED=$((STAGES_FAILED + 1))
  STAGE_ROWS+=("$(printf '%-14s not run: %s' "$1" "$2")")
}

minutes() { awk -v seconds="$1" 'BEGIN { printf "%.1f", seconds / 60 }'; }

# count_results FOLDER: "PASSED FAILED"; count-results.py says how it counts.
count_results() {
  # Nor is there a Python to read them where the set-up failed.
  if ! compgen -G "$1/*.xml" >/dev/null && [ ! -e "$1/checks" ]; then
    echo "0 0"
    return
  fi
  python3 "$KFAST_ROOT/tools/lib/count-results.py" "$1"
}

# check NAME COMMAND…: one check of the running stage that is no test framework's; its output goes to a log, which is
# shown when it fails.
check() {
  local name=$1
  shift
  if quietly "$STAGE_RESULTS/${name//\//_}.log" "$@"; then
    echo "ok $name" >>"$STAGE_RESULTS/checks"
  else
    echo "failed $name" >>"$STAGE_RESULTS/checks"
  fi
}

# What failed and what it said, again, since who looks at a long run looks at its end.
show_failures() {
  local name
  for name in "${STAGES_FAILING[@]}"; do
    printf '\nstage %s failed:\n' "$name"
    if [ -e "$KFAST_ROOT/build/results/$name/failures" ]; then cat "$KFAST_ROOT/build/results/$name/failures"; fi
  done
}

# The failures, the table, then the line that ends every run. Fails if anything did.
finish_stages() {
  show_failures
  echo
  printf '%-14s %-7s %7s %7s %9s\n' stage result passed failed minutes
  printf '%s\n' "${STAGE_ROWS[@]}"
  echo
  echo "$STAGES_PASSED passed, $STAGES_FAILED failed"
  if [ "$STAGES_PASSED" -eq 0 ] && [ "$STAGES_BROKEN" -eq 0 ]; then
    die "no test ran: does the filter name one?"
  fi
  [ "$STAGES_BROKEN" -eq 0 ]
}
