# shellcheck shell=bash
# A Debian of its own to install packages in: the bare tree with a systemd to boot, what a real Kafka and the tests need,
# and what the packages depend on. Made once for each release, with the network; booted without one. Needs say.sh,
# cache.sh and bare-tree.sh.

# Kafka runs in it, and the tests do; nothing of it is what kfast's packages need.
SERVICE_TREE_PACKAGES=(systemd systemd-sysv dbus libnss-myhostname default-jre-headless python3 python3-pytest procps
  nginx libnginx-mod-http-lua)

# What packages depend on, one a line, without kfast's own.
dependencies_of() {
  local deb
  for deb in "$@"; do dpkg-deb -f "$deb" Pre-Depends Depends | sed 's/^[A-Za-z-]*: //'; done |
    tr ',' '\n' | sed -E 's/^[[:space:]]+//' | grep -v -E '^(lib)?kfast|^$' | sort -u
}

service_tree() { echo "$KFAST_CACHE/service-$1"; }

# fill_service_tree TREE DEPENDENCY…: each as in a package's Depends.
fill_service_tree() {
  local tree=$1
  shift
  # shellcheck disable=SC2016
  systemd-nspawn -q --register=no --keep-unit --pipe -D "$tree" --as-pid2 --setenv=DEBIAN_FRONTEND=noninteractive \
    sh -c 'apt-get -q update && apt-get -q -y --no-install-recommends satisfy "$@" && apt-get clean' sh "$@" </dev/null
}

# ensure_service_tree SUITE DEB…
ensure_service_tree() {
  local suite=$1 tree work wanted
  local -a dependencies
  shift
  tree=$(service_tree "$suite")
  wanted=$(printf '%s\n' "${SERVICE_TREE_PACKAGES[@]}" && dependencies_of "$@")
  if [ "$(cat "$tree.packages" 2>/dev/null)" = "$wanted" ]; then return 0; fi
  ensure_bare_tree "$suite"
  say "making a $suite to install packages in (once, two minutes)"
  work=$(mktemp -d "$KFAST_CACHE/.service.XXXXXX")
  unpack_bare_tree "$suite" "$work"
  mapfile -t dependencies <<<"$wanted"
  if ! quietly "$work.log" fill_service_tree "$work" "${dependencies[@]}"; then
    rm -rf "$work" "$work.log"
    die "no $suite to install packages in could be made; the lines above say why"
  fi
  rm -rf "$tree" "$work.log"
  mv -T "$work" "$tree"
  echo "$wanted" >"$tree.packages"
}
