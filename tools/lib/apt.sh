# shellcheck shell=bash
# Installing Debian packages, as root or by sudo, asking nothing. Needs say.sh.

# What a user without root lets root run instead.
ROOTS_COMMAND=tools/setup

# Makes sure that as_root will not have to ask: it runs in the background, where nobody can answer.
need_root() {
  [ "$(id -u)" -ne 0 ] || return 0
  command -v sudo >/dev/null || die "packages have to be installed, and there is no sudo. Run as root:  $ROOTS_COMMAND"
  sudo -n true 2>/dev/null && return 0
  say "sudo may ask for your password, because packages have to be installed"
  sudo -v || die "sudo said no. Run as root:  $ROOTS_COMMAND"
}

# as_root COMMAND…
as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

apt_get() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 \
    -o Dpkg::Use-Pty=0 "$@"
}

# The packages among the arguments that are not installed, one a line.
missing_packages() {
  local package
  local -A installed=()
  while read -r package; do
    installed[${package%%:*}]=1
  done < <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^installed //p')
  for package in "$@"; do
    [ -n "${installed[$package]:-}" ] || echo "$package"
  done
}

apt_candidate() { LC_ALL=C apt-cache policy "$1" | sed -n 's/^  Candidate: //p'; }

apt_lists_done=
# Fetches the package lists once a run; a subshell's call does not count, so call it from the main shell.
apt_update() {
  [ -z "$apt_lists_done" ] || return 0
  need_root
  say "fetching Debian's package lists"
  apt_logged update || die "apt-get update failed: check this machine's network and /etc/apt"
  apt_lists_done=1
}

# Fetches them only where there are none, as in a fresh image.
ensure_apt_lists() {
  case $(apt_candidate librdkafka-dev) in
    '' | '(none)') apt_update ;;
  esac
}

# apt_logged ARGUMENT…: apt-get, silent unless it fails.
apt_logged() {
  local log status=0
  log=$(mktemp "${TMPDIR:-/tmp}/kfast-apt.XXXXXX")
  quietly "$log" apt_get "$@" || status=$?
  rm -f "$log"
  return "$status"
}

# install_packages WHY PACKAGE…
install_packages() {
  local why=$1
  shift
  local -a missing
  mapfile -t missing < <(missing_packages "$@")
  [ "${#missing[@]}" -gt 0 ] || return 0
  need_root
  apt_update
  say "installing (${why}): ${missing[*]}"
  apt_logged install -y --no-install-recommends --no-remove "${missing[@]}" ||
    die "apt-get could not install the packages above (it may not remove any for them)"
}
