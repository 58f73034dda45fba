# shellcheck shell=bash
# A Debian of another release to build packages in: the bare tree with what `tools/setup package` installs. Made once for
# each release and list of packages; what a run changes in it is lost. Needs say.sh, cache.sh and bare-tree.sh.

build_tree() { echo "$KFAST_CACHE/build-$1"; }

# in_build_tree TREE SOURCE NSPAWN-OPTION… -- COMMAND…: as root in SOURCE, a clone; with this machine's cache, so that
# librdkafka and what ccache knows are built once.
in_build_tree() {
  local tree=$1 source=$2
  local -a options=()
  shift 2
  while [ "$1" != -- ]; do options+=("$1") && shift; done
  shift
  mkdir -p "$KFAST_CACHE/ccache"
  systemd-nspawn -q --register=no --keep-unit --pipe -D "$tree" --as-pid2 "${options[@]}" \
    --bind="$source:/root/kfast" --bind="$KFAST_CACHE:/root/.cache/kfast" \
    --setenv=CCACHE_DIR=/root/.cache/kfast/ccache --chdir=/root/kfast "$@" \
    </dev/null 2> >(nspawn_complaints >&2)
}

# ensure_build_tree SUITE SOURCE
ensure_build_tree() {
  local suite=$1 source=$2 tree work wanted
  tree=$(build_tree "$suite")
  wanted=$(sha256sum <"$source/tools/lib/packages.sh")
  if [ "$(cat "$tree.packages" 2>/dev/null)" = "$wanted" ]; then return 0; fi
  ensure_bare_tree "$suite"
  say "making a $suite to build packages in (once, two minutes)"
  work=$(mktemp -d "$KFAST_CACHE/.build.XXXXXX")
  unpack_bare_tree "$suite" "$work"
  if ! quietly "$work.log" in_build_tree "$work" "$source" -- tools/setup package; then
    rm -rf --one-file-system "$work" "$work.log"
    die "no $suite to build packages in could be made; the lines above say why"
  fi
  rm -rf --one-file-system "$tree" "$work.log"
  mv -T "$work" "$tree"
  echo "$wanted" >"$tree.packages"
}
