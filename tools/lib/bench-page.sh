# shellcheck shell=bash
# tools/bench --page: every table, the figures and a profile, made into docs/performance.md. Needs say.sh.

# The threads that a record passes through, as perf calls them, and what the page calls them.
PROFILED_THREADS=(
  "kfast-bench=kfast-bench, the worker: one thread that sends and reads reports"
  "kfast-shard0=kfastd, the shard"
  "rdk:broker1=kfastd, librdkafka's thread of the broker"
)
PROFILE_LINES=25

# functions_of FOLDER THREAD: percent and function, most first. A function is there once for each process that ran it.
functions_of() {
  perf report --quiet --input "$1/perf.data" --no-children --percentage relative --comms "$2" \
    --sort dso,symbol --fields overhead,dso,symbol --field-separator ';' --stdio --stdio-color never 2>/dev/null |
    awk -F ';' '
      /^#/ || NF < 3 { next }
      {
        sub(/ +$/, "", $2); sub(/^\[[.k]\] /, "", $3); sub(/ +(- +)*-? *$/, "", $3)
        sum[$3 ~ /^0x/ ? $2 ", without symbols" : $3] += $1
      }
      END { for (name in sum) printf "%6.2f%%  %s\n", sum[name], substr(name, 1, 100) }' |
    sort -rn | sed -n "1,${PROFILE_LINES}p"
}

# profile_flooding FOLDER COMMAND…: runs the command under perf, and writes a text for each thread to FOLDER.
profile_flooding() {
  local target=$1 number=0 thread
  shift
  if ! perf record --quiet --all-cpus --freq 1999 --output "$target/perf.data" -- "$@" >"$target/bench.log" 2>&1; then
    cat "$target/bench.log" >&2
    die "perf could not record; it needs root, or kernel.perf_event_paranoid of -1"
  fi
  for thread in "${PROFILED_THREADS[@]}"; do
    number=$((number + 1))
    {
      echo "${thread#*=}"
      functions_of "$target" "${thread%%=*}"
    } >"$target/$number.txt"
  done
}

# make_page PAGE FOLDER COMMAND OPTIONS: the last two are names of arrays, kfast-bench with what it always needs, and
# the options for it. Runs it whole, the flooding rows with trusted workers, and one of them under perf, and writes the
# page when all of that worked.
make_page() {
  local page=$1 work=$2/page
  local -n bench_command=$3 bench_options=$4
  command -v perf >/dev/null || die "tools/bench --page needs perf for the profile: install linux-perf"
  mkdir -p "$work/profile"
  "${bench_command[@]}" "${bench_options[@]}" --json "$work/figures.json" | tee "$work/printed.txt"
  "${bench_command[@]}" "${bench_options[@]}" --only "B, flooding" --trusted | tee "$work/trusted.txt"
  profile_flooding "$work/profile" "${bench_command[@]}" --only "100 B, flooding" --with kfast_send --runs 3
  "$KFAST_ROOT/tools/lib/performance-page.py" "$work/printed.txt" "$work/trusted.txt" "$work/figures.json" "$work/profile" \
    >"$work/page.md"
  cp "$work/page.md" "$page"
  say "wrote $page"
}
