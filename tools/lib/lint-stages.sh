# shellcheck shell=bash
# The stages that read the code instead of running it. Needs say.sh, cache.sh, build.sh and stages.sh.

# sources PATTERN…: the repository's files, committed or not, that match.
sources() { git -C "$KFAST_ROOT" ls-files -co --exclude-standard -- "$@"; }

need_sources() {
  [ "$1" -gt 0 ] || die "git lists no sources in $KFAST_ROOT: is it a clone that this user owns (safe.directory)?"
}

# The LLVM whose clang-format and clang-tidy the sources agree with: every release has its own opinion.
LINT_LLVM=14

# lint_tool NAME: the command that is NAME of that release.
lint_tool() {
  local command version=none
  for command in "$1-$LINT_LLVM" "$1"; do
    if command -v "$command" >/dev/null; then
      version=$("$command" --version | grep -o -E 'version [0-9]+' | head -n 1 | cut -d ' ' -f 2)
      if [ "$version" = "$LINT_LLVM" ]; then
        echo "$command"
        return
      fi
    fi
  done
  die "the sources agree with $1 $LINT_LLVM, and this machine has ${version}: another release finds a thousand other" \
    "things. Install $1-$LINT_LLVM, or run this stage on Debian 12, as root:" \
    "tools/bare-debian bookworm tools/test --stage format --stage tidy"
}

stage_format() {
  local tool
  local -a files
  tool=$(lint_tool clang-format)
  mapfile -t files < <(sources '*.cpp' '*.hpp' '*.h' '*.c')
  need_sources "${#files[@]}"
  cd "$KFAST_ROOT" || return
  check clang-format "$tool" --dry-run -Werror "${files[@]}"
}

# libkfast's binary interface against the one that programs were linked with: additions pass. With KFAST_ABI_ACCEPT=1
# the present one becomes that.
stage_abi() {
  local folder=$KFAST_ROOT/build/abi known=$KFAST_ROOT/tests/abi/libkfast.abi
  build_in "$folder" kfast -DCMAKE_BUILD_TYPE=Debug -DKFAST_DAEMON=OFF -DKFAST_TOOLS=OFF
  if [ -n "${KFAST_ABI_ACCEPT:-}" ]; then
    abidw --exported-interfaces-only --header-file "$KFAST_ROOT/include/kfast/kfast.h" --drop-private-types \
      --no-comp-dir-path --no-corpus-path --no-show-locs --out-file "$known" "$folder/client/libkfast.so"
  fi
  check abidiff abi_holds "$known" "$folder/client/libkfast.so"
}

# abidiff's status is a set of bits: 1 and 2 are errors of its own, 8 is a change that breaks programs.
abi_holds() {
  local status=0
  abidiff --exported-interfaces-only --header-file2 "$KFAST_ROOT/include/kfast/kfast.h" --drop-private-types \
    --no-show-locs "$1" "$2" || status=$?
  [ $((status & 11)) -eq 0 ]
}

# What clang-tidy is told comes from the tests' build, which compiles everything.
stage_tidy() {
  local tool
  local -a files
  tool=$(lint_tool clang-tidy)
  cd "$KFAST_ROOT" || return
  # The largest first, so that the last ones to run are short.
  mapfile -t files < <(sources 'client/*.cpp' 'daemon/*.cpp' 'tools/*.cpp' | xargs -d '\n' ls -S)
  need_sources "${#files[@]}"
  check clang-tidy tidy_all "$tool" "$KFAST_ROOT/build/test" "${files[@]}"
}

# Checks of languages and libraries that are not used here, such as Objective-C's: they cost time and find nothing.
TIDY_NOT='-clang-analyzer-osx.*,-clang-analyzer-optin.osx.*,-clang-analyzer-optin.mpi.*,-clang-analyzer-webkit.*'
TIDY_NOT+=',-clang-analyzer-optin.performance.GCDAntipattern,-clang-analyzer-fuchsia.*,-clang-analyzer-nullability.*'

# tidy_all CLANG-TIDY BUILD-FOLDER FILE…: findings only, without the count of those that it suppresses in headers.
# The analyzer, which follows every path, takes more than half of the time: not for the bench, which nobody runs to serve.
# Without it clang-tidy 14 also shows what the compiler warns of, here of librdkafka's macros.
tidy_all() {
  local tool=$1 commands=$2
  shift 2
  # shellcheck disable=SC2016  # it is the shell that xargs starts that expands them
  printf '%s\0' "$@" |
    xargs -0 -n 1 -P "$(nproc)" bash -c '
      options=("--checks=$3")
      case $4 in
        tools/benchmark/*) options=("--checks=$3,-clang-analyzer-*" --extra-arg=-Wno-gnu-statement-expression) ;;
      esac
      "$1" -p "$2" --quiet "${options[@]}" "$4"' tidy "$tool" "$commands" "$TIDY_NOT" 2>&1 |
    sed -E '/^[0-9]+ warnings? generated\.$/d'
}

stage_shellcheck() {
  local -a files
  cd "$KFAST_ROOT" || return
  mapfile -t files < <(sources tools .ci | while read -r file; do
    if [ -f "$file" ] && head -c 128 "$file" | head -n 1 | grep -q -E '^#!.*sh$|^# shellcheck'; then echo "$file"; fi
  done)
  check shellcheck shellcheck -x -P SCRIPTDIR "${files[@]}"
}

# The Kubernetes examples against Kubernetes' own schema, which a package of PyPI brings.
KUBERNETES=1.34.1
stage_manifests() {
  local tool=$KFAST_CACHE/kubernetes-validate-$KUBERNETES file
  if [ ! -e "$tool" ] &&
    ! quietly "$STAGE_RESULTS/pip.log" python3 -m pip install -q --target "$tool.new" "kubernetes-validate==$KUBERNETES"; then
    say "Kubernetes' schema could not be had: that takes pip and the network"
    rm -rf "$tool.new"
    touch "$STAGE_RESULTS/not-run"
    return 0
  fi
  [ -e "$tool" ] || mv "$tool.new" "$tool"
  for file in "$KFAST_ROOT"/packaging/kubernetes/*.yaml; do
    check "${file##*/}" env PYTHONPATH="$tool" "$tool/bin/kubernetes-validate" --strict -k "${KUBERNETES%.*}" "$file"
  done
}

# Everything in kfast.h is documented, and renders without a warning.
stage_reference() {
  check reference "$KFAST_ROOT/tools/reference"
  check parameters python3 "$KFAST_ROOT/tools/lib/undocumented-parameters.py" "$KFAST_ROOT/include/kfast/kfast.h"
}
