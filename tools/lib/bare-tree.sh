# shellcheck shell=bash
# Bare Debian trees: one base for each release in the cache, and a copy for each run. Needs say.sh and cache.sh.

BARE_COPY=

bare_base() { echo "$KFAST_CACHE/bare-$1.tar"; }

# The first mirror of this machine's apt that carries its own release, in both of apt's formats.
host_mirror() {
  {
    cat /etc/apt/sources.list.d/*.sources 2>/dev/null | sed -n -E 's/^URIs:[[:space:]]*([^[:space:]]+).*/\1/p'
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
      sed -n -E 's/^deb[[:space:]]+(\[[^]]*\][[:space:]]+)?([^[:space:]]+)[[:space:]].*/\2/p'
  } | grep -v security | head -n 1
}

# Makes the base: minbase, and what a person who clones has (git), and a user with sudo.
make_bare_base() {
  local suite=$1 tree=$2 mirror
  mirror=$(host_mirror)
  debootstrap --variant=minbase --include=git,ca-certificates,sudo "$suite" "$tree" "$mirror" || return 1
  bare_network "$tree"
  bare_apt_sources "$suite" "$tree"
  chroot "$tree" update-ca-certificates || return 1
  chroot "$tree" useradd --create-home --shell /bin/bash user || return 1
  echo 'user ALL=(ALL) NOPASSWD: ALL' >"$tree/etc/sudoers.d/user"
  rm -rf "$tree"/var/cache/apt/archives/*.deb "$tree"/var/lib/apt/lists/*
}

# What reaching the network takes on this machine: its name servers and the certificates that its owner added.
bare_network() {
  local tree=$1
  cp -L /etc/resolv.conf "$tree/etc/resolv.conf"
  if compgen -G '/usr/local/share/ca-certificates/*.crt' >/dev/null; then
    cp /usr/local/share/ca-certificates/*.crt "$tree/usr/local/share/ca-certificates/"
  fi
}

# This machine's own sources, with the release renamed.
bare_apt_sources() {
  local suite=$1 tree=$2 codename file
  # shellcheck source=/dev/null
  codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
  rm -f "$tree/etc/apt/sources.list"
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
    if [ -e "$file" ] && grep -q "$codename" "$file"; then
      sed "s/\b$codename\b/$suite/g; s/\b$codename-/$suite-/g" "$file" >"$tree/etc/apt/${file#/etc/apt/}"
    fi
  done
}

ensure_bare_tree() {
  local suite=$1 base work
  base=$(bare_base "$suite")
  [ ! -e "$base" ] || return 0
  mkdir -p "$KFAST_CACHE"
  work=$(mktemp -d "$KFAST_CACHE/.bare.XXXXXX")
  say "making a bare $suite (once, about a minute)"
  if quietly "$work.log" make_bare_base "$suite" "$work"; then
    tar -C "$work" --numeric-owner -cf "$base.new" . && mv "$base.new" "$base"
  fi
  rm -rf "$work" "$work.log"
  [ -e "$base" ] || die "debootstrap did not make a bare $suite; the lines above say why"
}

# unpack_bare_tree SUITE FOLDER
unpack_bare_tree() {
  tar -C "$2" --numeric-owner -xf "$(bare_base "$1")"
  # Its root is the temporary folder it was made in.
  chmod 755 "$2"
  # It has no power to lose: dpkg need not wait for the disk.
  echo force-unsafe-io >"$2/etc/dpkg/dpkg.cfg.d/unsafe-io"
}

copy_bare_tree() {
  BARE_COPY=$(mktemp -d "${TMPDIR:-/var/tmp}/kfast-bare-$1.XXXXXX")
  unpack_bare_tree "$1" "$BARE_COPY"
}

# A clean clone; where nothing is committed yet, the files that would be.
copy_repository() {
  local target=$BARE_COPY/home/user/kfast
  if [ -z "${KFAST_BARE_UNCOMMITTED:-}" ] && git -C "$KFAST_ROOT" rev-parse -q --verify HEAD >/dev/null; then
    git clone -q --no-hardlinks "$KFAST_ROOT" "$target"
  else
    say "copying the working tree as it is, not a commit"
    mkdir -p "$target"
    git -C "$KFAST_ROOT" ls-files -co --exclude-standard -z |
      tar -C "$KFAST_ROOT" --null --ignore-failed-read -T - -cf - | tar -C "$target" -xf -
    git -C "$target" init -q
  fi
  chroot "$BARE_COPY" chown -R user:user /home/user/kfast
}

# nspawn's complaints, without that of its own folder in /run where that is not a tmpfs, which means nothing.
nspawn_complaints() { grep -v --line-buffered 'Attempted to remove disk file system' || true; }

# run_in_bare FOLDER USER NSPAWN-OPTION… -- COMMAND…: without a terminal, as a machine would.
run_in_bare() {
  local folder=$1 user=$2
  local -a options=()
  shift 2
  while [ "$1" != -- ]; do options+=("$1") && shift; done
  shift
  systemd-nspawn -q --register=no --keep-unit --pipe -D "$BARE_COPY" --as-pid2 --user="$user" --chdir="$folder" \
    "${options[@]}" "$@" </dev/null 2> >(nspawn_complaints >&2)
}

# run_in_copy USER COMMAND…: in the clone; root works in one of its own.
run_in_copy() {
  local user=$1 folder=/home/user/kfast
  shift
  if [ "$user" = root ]; then
    mv "$BARE_COPY$folder" "$BARE_COPY/root/kfast"
    chown -R 0:0 "$BARE_COPY/root/kfast"
    folder=/root/kfast
  fi
  run_in_bare "$folder" "$user" -- "$@"
}

remove_copy() {
  [ -n "$BARE_COPY" ] || return 0
  if [ -n "${KFAST_BARE_KEEP:-}" ]; then
    say "kept: $BARE_COPY"
  else
    rm -rf --one-file-system "$BARE_COPY"
  fi
}
