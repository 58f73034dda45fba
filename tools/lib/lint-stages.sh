# shellcheck shell=bash
# The stages that read the code instead of running it. Needs say.sh, cache.sh, build.sh and stages.sh.

# sources PATTERN…: the repository's files, committed or not, that match.
sources() { git -C "$KFAST_ROOT" ls-files -co --exclude-standard -- "$@"; }

need_sources() {
  [ "$1" -gt 0 ] || die "git lists no sources in $KFAST_ROOT: is it a clone that this user owns (safe.directory)?"
}

stage_format() {
  local -a files
  mapfile -t files < <(sources '*.cpp' '*.hpp' '*.h' '*.c')
  need_sources "${#files[@]}"
  cd "$KFAST_ROOT" || return
  check clang-format clang-format --dry-run -Werror "${files[@]}"
}

# What clang-tidy is told comes from the tests' build, which compiles everything.
stage_tidy() {
  local -a files
  mapfile -t files < <(sources 'client/*.cpp' 'daemon/*.cpp' 'tools/*.cpp')
  need_sources "${#files[@]}"
  cd "$KFAST_ROOT" || return
  check clang-tidy tidy_all "$KFAST_ROOT/build/test" "${files[@]}"
}

tidy_all() {
  local commands=$1
  shift
  printf '%s\0' "$@" | xargs -0 -n 1 -P "$(nproc)" clang-tidy -p "$commands" --quiet
}

stage_shellcheck() {
  local -a files
  cd "$KFAST_ROOT" || return
  mapfile -t files < <(sources tools .ci | while read -r file; do
    if [ -f "$file" ] && head -c 128 "$file" | head -n 1 | grep -q -E '^#!.*sh$|^# shellcheck'; then echo "$file"; fi
  done)
  check shellcheck shellcheck -x -P SCRIPTDIR "${files[@]}"
}
