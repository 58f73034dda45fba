# shellcheck shell=bash
# Configuring and building kfast. Needs say.sh and cache.sh.

# build_preset PRESET TARGETS CMAKE-ARGUMENT…: a preset of CMakePresets.json, in its own folder build/PRESET.
# TARGETS is a list in one word, empty for all.
build_preset() {
  local preset=$1 targets=$2
  shift 2
  build_in "$KFAST_ROOT/build/$preset" "$targets" --preset "$preset" "$@"
}

# build_in FOLDER TARGETS CMAKE-ARGUMENT…
build_in() {
  local folder=$1 targets=$2
  shift 2
  configure_in "$folder" "$@" && build_targets "$folder" "$targets"
}

# configure_in FOLDER CMAKE-ARGUMENT…
configure_in() {
  local folder=$1
  shift
  find_rdkafka_prefix
  mkdir -p "$folder"
  say "configuring ${folder#"$KFAST_ROOT"/}"
  (cd "$KFAST_ROOT" && quietly "$folder/configure.log" cmake -S . -B "$folder" -G Ninja \
    -DCMAKE_PREFIX_PATH="$KFAST_RDKAFKA_PREFIX" "$@")
}

# build_targets FOLDER TARGETS
build_targets() {
  local folder=$1 targets=$2
  local -a only=()
  if [ -n "$targets" ]; then read -r -a only <<<"--target $targets"; fi
  say "building ${folder#"$KFAST_ROOT"/}${targets:+: $targets}"
  quietly "$folder/build.log" cmake --build "$folder" -j "$(nproc)" "${only[@]}"
}

# built FOLDER NAME: the path of a program that was built.
built() {
  local found
  found=$(find "$1" -type f -name "$2" -perm -u+x -print -quit)
  [ -n "$found" ] || die "$2 is not in $1: its build did not make it"
  echo "$found"
}
