# shellcheck shell=bash
# The stages that prove behaviour. Needs say.sh, cache.sh, apt.sh, build.sh, stages.sh and under-systemd.sh; FILTERS holds
# the user's filters, FUZZ_SECONDS the length of each fuzz target's run.

TEST_BUILD=$KFAST_ROOT/build/test
CHAOS_BUILD=$KFAST_ROOT/build/chaos

# Folders of tests that are written in Python, run on the usual build and need no more than Kafka.
python_test_folders() {
  local folder
  for folder in kafka hostile docs; do
    if compgen -G "$KFAST_ROOT/tests/$folder/**/test_*.py" >/dev/null ||
      compgen -G "$KFAST_ROOT/tests/$folder/test_*.py" >/dev/null; then
      echo "tests/$folder"
    fi
  done
}

# Options that leave tests out, for stages that do not build them all.
CTEST_LEAVE_OUT=()

# run_ctest BUILD-FOLDER [COMMAND…]: by that command, where one is given.
run_ctest() {
  local folder=$1
  shift
  local -a only=(--no-tests=error)
  if [ "${#FILTERS[@]}" -gt 0 ]; then only=(-R "$(IFS='|' && echo "${FILTERS[*]}")" --no-tests=ignore); fi
  "$@" ctest --test-dir "$folder" --output-on-failure -j 2 --timeout 600 \
    --output-junit "$STAGE_RESULTS/ctest.xml" "${CTEST_LEAVE_OUT[@]}" "${only[@]}"
}

# Prints pytest's options, a line each.
pytest_options() {
  local filter
  printf '%s\n' -q -p no:cacheprovider --junitxml "$STAGE_RESULTS/pytest.xml"
  if [ "${#FILTERS[@]}" -gt 0 ]; then
    filter=$(printf ' or %s' "${FILTERS[@]}")
    printf '%s\n' -k "${filter# or }"
  fi
}

# chosen_none STATUS: did pytest run no test because of the filter? That is as it should be where it means tests of the
# other runner.
chosen_none() { [ "$1" -eq 5 ] && [ "${#FILTERS[@]}" -gt 0 ]; }

# run_pytest BUILD-FOLDER [TEST-FOLDER…]: all folders, where none is named.
run_pytest() {
  local folder=$1 status=0
  shift
  local -a folders=("$@") options=()
  [ "${#folders[@]}" -gt 0 ] || mapfile -t folders < <(python_test_folders)
  [ "${#folders[@]}" -gt 0 ] || die "there are no Python tests under tests/"
  mapfile -t options < <(pytest_options)
  (cd "$KFAST_ROOT" && KFAST_BUILD=$folder python3 -m pytest "${options[@]}" "${folders[@]}") || status=$?
  if chosen_none "$status"; then status=0; fi
  return "$status"
}

stage_build() {
  build_in "$TEST_BUILD" "" -DCMAKE_BUILD_TYPE=RelWithDebInfo "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O2 -g1" \
    -DKFAST_TESTS=ON -DKFAST_WERROR=ON
}

stage_cpp() { run_ctest "$TEST_BUILD"; }

stage_kafka() { run_pytest "$TEST_BUILD"; }

can_make_namespaces() {
  [ "$(id -u)" -eq 0 ] && unshare --pid --fork --mount-proc --net --ipc --uts --cgroup --time true 2>/dev/null &&
    unshare --user --map-root-user true 2>/dev/null
}

can_make_memory_cgroups() {
  local folder=/sys/fs/cgroup/memory
  [ -e "$folder/memory.limit_in_bytes" ] || folder=/sys/fs/cgroup
  if ! mkdir "$folder/kfast-can-make" 2>/dev/null; then return 1; fi
  rmdir "$folder/kfast-can-make"
  [ "$folder" != /sys/fs/cgroup ] || echo +memory 2>/dev/null >/sys/fs/cgroup/cgroup.subtree_control
}

# kfastd and workers in different namespaces and cgroups, as containers are.
stage_containers() {
  local -a files=(tests/containers/test_namespaces.py tests/containers/test_limits.py)
  if ! can_make_namespaces; then
    say "no namespaces can be made here: that takes root, and a machine that allows it"
    touch "$STAGE_RESULTS/not-run"
    return 0
  fi
  if can_make_memory_cgroups; then
    files+=(tests/containers/test_memory_cgroups.py)
  else
    say "the tests of memory cgroups are not run: none can be made in /sys/fs/cgroup here"
  fi
  run_pytest "$TEST_BUILD" "${files[@]}"
}

# The image's recipe, run as it stands, and what it makes.
stage_image() {
  if [ "$(id -u)" -ne 0 ] || ! can_boot_systemd; then
    say "the image's recipe cannot be run here: that takes root, overlay mounts and systemd-nspawn"
    touch "$STAGE_RESULTS/not-run"
    return 0
  fi
  check recipe "$KFAST_ROOT/tools/container-test"
}

# resty.kfast in a real nginx.
stage_lua() { run_pytest "$TEST_BUILD" tests/lua; }

build_chaos() {
  build_in "$CHAOS_BUILD" "kfast kfastd kfastctl short_lives counting_malloc" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O2 -g1" -DKFAST_KILL_POINTS=ON -DKFAST_WERROR=ON
}

# Kills at every kill point and at random. A build of its own: the usual one has no kill points.
stage_chaos() {
  build_chaos
  run_pytest "$CHAOS_BUILD" tests/chaos
}

# kfastd as a service of a real systemd, which is booted for it; the tests are root's there.
stage_systemd() {
  local status=0
  if ! can_boot_systemd; then
    say "no systemd can be booted here: that takes root or sudo, overlay mounts and systemd-nspawn"
    touch "$STAGE_RESULTS/not-run"
    return 0
  fi
  local -a options
  mapfile -t options < <(pytest_options)
  KFAST_BUILD=$TEST_BUILD quietly "$STAGE_RESULTS/boot.log" \
    under_systemd "$STAGE_RESULTS" python3 -m pytest "${options[@]}" tests/systemd || status=$?
  if [ -e "$STAGE_RESULTS/output" ]; then cat "$STAGE_RESULTS/output"; fi
  if chosen_none "$status"; then status=0; fi
  return "$status"
}

# in_a_debian COMMAND…: runs it; where no Debian of its own can be had, the stage says so and is not run.
in_a_debian() {
  local status=0
  if [ "$(id -u)" -ne 0 ] || ! can_boot_systemd; then
    say "no Debian can be booted here: that takes root, overlay mounts and systemd-nspawn"
    touch "$STAGE_RESULTS/not-run"
    return 0
  fi
  "$@" || status=$?
  if [ "$status" -eq 75 ]; then
    say "no Debian of its own could be had: the lines above say why"
    touch "$STAGE_RESULTS/not-run"
    return 0
  fi
  return "$status"
}

# install_test SUITE: the Debian packages, installed, upgraded and purged in a Debian of their own.
install_test() {
  local status=0 results=$KFAST_ROOT/build/install-test/$1/pytest.xml
  rm -f "$results"
  in_a_debian "$KFAST_ROOT/tools/install-test" "$1" "${FILTERS[@]/#/-k}" || status=$?
  if [ -e "$results" ]; then cp "$results" "$STAGE_RESULTS"; fi
  if chosen_none "$status"; then status=0; fi
  return "$status"
}

# shellcheck source=/dev/null
stage_install() { install_test "$(. /etc/os-release && echo "${VERSION_CODENAME:-}")"; }
stage_install_trixie() { install_test trixie; }

# readme_test SUITE: README.md's commands on a Debian that has nothing.
readme_test() {
  in_a_debian "$KFAST_ROOT/tools/readme-test" "$1" || return
  if [ ! -e "$STAGE_RESULTS/not-run" ]; then echo "ok commands of README.md" >>"$STAGE_RESULTS/checks"; fi
}

stage_readme() { readme_test bookworm; }
stage_readme_trixie() { readme_test trixie; }

# sanitizer_options NAME DEFAULTS: its options, with the repository's list of what to leave out, where there is one.
sanitizer_options() {
  local known=$KFAST_ROOT/tests/sanitizers/$1.supp
  if [ -e "$known" ]; then echo "$2:suppressions=$known"; else echo "$2"; fi
}

# A finding ends the process at once, so that no test passes beside it.
use_sanitizers() {
  export ASAN_OPTIONS=abort_on_error=1:strict_string_checks=1:detect_stack_use_after_return=1
  export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:abort_on_error=1
  LSAN_OPTIONS=$(sanitizer_options lsan print_suppressions=0)
  TSAN_OPTIONS=$(sanitizer_options tsan halt_on_error=1:second_deadlock_stack=1)
  export LSAN_OPTIONS TSAN_OPTIONS
}

# Nothing for ThreadSanitizer: one thread only; and kafka_test, which runs librdkafka, whose threads are made by C11's
# thrd_create, which ThreadSanitizer does not know and dies of.
NOT_FOR_TSAN="config_test kafka_test kfastctl_test"

# test_programs FOLDER: the test programs of a configured folder that a sanitizer can say something about; not the model
# checks, which are one thread and no memory of ours.
test_programs() { cmake --build "$1" --target help | sed -n -E 's/^([a-z_]+_tests?): phony$/\1/p'; }

# run_sanitized_ctest BUILD-FOLDER [COMMAND…]: the tests of the targets that were built.
run_sanitized_ctest() {
  local -a CTEST_LEAVE_OUT=(-E _NOT_BUILT -LE model)
  run_ctest "$@"
}

# The C++ tests, and the hostile peers against the real kfastd: a slow daemon proves little about Kafka.
stage_asan_ubsan() {
  local folder=$KFAST_ROOT/build/asan-ubsan status=0
  use_sanitizers
  configure_in "$folder" --preset asan-ubsan
  build_targets "$folder" "$(test_programs "$folder" | tr '\n' ' ') kfastd kfast kfastctl"
  run_sanitized_ctest "$folder" || status=1
  run_pytest "$folder" tests/hostile || status=1
  return "$status"
}

# ThreadSanitizer of these compilers needs addresses where it expects them; a container may forbid to ask for that.
stage_tsan() {
  local folder=$KFAST_ROOT/build/tsan programs
  local -a fixed_addresses=()
  if setarch -R true 2>/dev/null; then fixed_addresses=(setarch -R); fi
  use_sanitizers
  configure_in "$folder" --preset tsan
  programs=$(test_programs "$folder" | grep -v -x -F "${NOT_FOR_TSAN// /$'\n'}" | tr '\n' ' ')
  build_targets "$folder" "$programs"
  run_sanitized_ctest "$folder" "${fixed_addresses[@]}"
}

# Every target runs on the repository's corpus; what it finds on top goes into the build folder.
stage_fuzz() {
  local folder=$KFAST_ROOT/build/fuzz
  local -a programs=()
  build_in "$folder" "" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ \
    -DKFAST_FUZZ=ON -DKFAST_TOOLS=OFF -DKFAST_SANITIZE=address,undefined \
    -DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=12
  mapfile -t programs < <(find "$folder" -type f -perm -u+x \( -name 'fuzz_*' -o -name '*_fuzz' -o -name '*_fuzzer' \) |
    sort)
  [ "${#programs[@]}" -gt 0 ] || die "the build made no program named fuzz_… or …_fuzz"
  say "fuzzing for $FUZZ_SECONDS s: ${programs[*]##*/}"
  quietly "$STAGE_RESULTS/fuzz.log" fuzz_all "$folder" "${programs[@]}"
}

# fuzz_all FOLDER PROGRAM…: all at once, since each is one thread; a check for each.
fuzz_all() {
  local folder=$1 program i status=0
  local -a names=() running=()
  shift
  for program in "$@"; do
    names+=("${program##*/}")
    fuzz_one "$program" "${program##*/}" "$folder" >"$STAGE_RESULTS/${program##*/}.log" 2>&1 &
    running+=($!)
  done
  for i in "${!running[@]}"; do
    if wait "${running[$i]}"; then
      echo "ok ${names[$i]}" >>"$STAGE_RESULTS/checks"
    else
      echo "failed ${names[$i]}" >>"$STAGE_RESULTS/checks"
      tail -n 40 "$STAGE_RESULTS/${names[$i]}.log"
      status=1
    fi
  done
  return "$status"
}

# A target's corpus is tests/fuzz/corpus/NAME, with or without the fuzz in its name.
fuzz_one() {
  local program=$1 name=$2 folder=$3 corpus short
  local -a corpora=("$folder/found/$name")
  mkdir -p "$folder/found/$name"
  short=${name#fuzz_}
  short=${short%_fuzz*}
  for corpus in "$KFAST_ROOT/tests/fuzz/corpus/$name" "$KFAST_ROOT/tests/fuzz/corpus/$short"; do
    if [ -d "$corpus" ] && [ "$corpus" != "${corpora[-1]}" ]; then corpora+=("$corpus"); fi
  done
  (cd "$STAGE_RESULTS" && "$program" -max_total_time="$FUZZ_SECONDS" -timeout=20 -rss_limit_mb=2048 \
    -print_final_stats=1 "${corpora[@]}")
}

# Portability: the code that needs no Kafka, compiled for aarch64 and run by an emulator.
stage_aarch64() {
  local folder=$KFAST_ROOT/build/aarch64
  build_in "$folder" "" -DCMAKE_TOOLCHAIN_FILE=cmake/aarch64-linux-gnu.cmake -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DKFAST_DAEMON=OFF -DKFAST_TOOLS=OFF -DKFAST_TESTS=ON -DKFAST_ONLY_PORTABLE_TESTS=ON -DKFAST_WERROR=ON
  run_ctest "$folder"
}
