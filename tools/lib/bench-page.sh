# shellcheck shell=bash
# tools/bench --page: every table, the figures and a profile, made into docs/performance.md. Needs say.sh.

# The threads that a record passes through, as perf calls them, and what the page calls them.
PROFILED_THREADS=(
  "kfast-bench:kfast-bench, the worker: one thread that sends and reads reports"
  "kfast-shard0:kfastd, the shard"
  "rdk\\:broker1:kfastd, librdkafka's thread of the broker"
)
PROFILE_LINES=25

# profile_flooding FOLDER COMMAND…: runs the command under perf, and writes a text for each thread to FOLDER.
profile_flooding() {
  local target=$1 number=0 thread name title
  shift
  if ! perf record --quiet --all-cpus --freq 1999 --output "$target/perf.data" -- "$@" >"$target/bench.log" 2>&1; then
    cat "$target/bench.log" >&2
    die "perf could not record; it needs root, or kernel.perf_event_paranoid of -1"
  fi
  for thread in "${PROFILED_THREADS[@]}"; do
    title=${thread##*:}
    name=${thread%:*}
    number=$((number + 1))
    {
      echo "$title"
      perf report --quiet --input "$target/perf.data" --no-children --percentage relative --comms "${name/\\/}" \
        --sort symbol --stdio --stdio-color never 2>/dev/null | sed -e '/^#/d' -e '/^$/d' -e 's/ *$//' | cut -c 1-110 |
        head -n "$PROFILE_LINES"
    } >"$target/$number.txt"
  done
}

# make_page PAGE FOLDER BENCH-COMMAND…: runs it whole, then once more under perf, and writes the page when all of that worked.
make_page() {
  local page=$1 work=$2/page
  shift 2
  command -v perf >/dev/null || die "tools/bench --page needs perf for the profile: install linux-perf"
  mkdir -p "$work/profile"
  "$@" --json "$work/figures.json" | tee "$work/printed.txt"
  profile_flooding "$work/profile" "$@" --only "100 B, flooding" --with kfast_send --runs 3
  "$KFAST_ROOT/tools/lib/performance-page.py" "$work/printed.txt" "$work/figures.json" "$work/profile" >"$work/page.md"
  cp "$work/page.md" "$page"
  say "wrote $page"
}
