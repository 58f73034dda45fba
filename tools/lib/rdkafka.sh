# shellcheck shell=bash
# A librdkafka that can do SCRAM, where the distribution's is too old: Debian 13's source package, built once into the
# cache. Needs say.sh, cache.sh and apt.sh.

# Debian's release whose source package is built, and what its build and its users link.
RDKAFKA_SUITE=trixie
# shellcheck disable=SC2034  # packages.sh reads it
RDKAFKA_BUILD_PACKAGES=(dpkg-dev g++ cmake ninja-build pkg-config libcurl4-openssl-dev libsasl2-dev libssl-dev
  libzstd-dev liblz4-dev zlib1g-dev)

# Left behind when a newer one could not be had, so that not every command tries again for a minute.
rdkafka_fallback_mark() { echo "$KFAST_CACHE/librdkafka-fallback-$(kfast_distro)"; }

# Sets RDKAFKA_ORIGIN, where librdkafka comes from: 'system' (the distribution's is new enough), 'built' or 'fallback'.
find_rdkafka_origin() {
  RDKAFKA_ORIGIN=built
  if [ -n "$KFAST_RDKAFKA_PREFIX" ]; then return; fi
  if PKG_CONFIG_PATH='' pkg-config --atleast-version="$KFAST_RDKAFKA_MINIMUM" rdkafka 2>/dev/null; then
    RDKAFKA_ORIGIN=system
  elif [ -e "$(rdkafka_fallback_mark)" ]; then
    RDKAFKA_ORIGIN=fallback
  else
    ensure_apt_lists
    if dpkg --compare-versions "$(apt_candidate librdkafka-dev)" ge "$KFAST_RDKAFKA_MINIMUM"; then
      RDKAFKA_ORIGIN=system
    fi
  fi
}

# Writes, as source entries for $RDKAFKA_SUITE, those entries of the system's own that carry the main archive of the
# running release: the same mirror, the same key ring. Knows both of apt's formats.
rdkafka_apt_sources() {
  local target=$1 codename file entry
  # shellcheck source=/dev/null
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  if [ -z "$codename" ]; then
    echo "/etc/os-release has no VERSION_CODENAME, so it is unknown which of apt's sources are this release's" >&2
    return 1
  fi
  for file in /etc/apt/sources.list.d/*.sources; do
    [ -e "$file" ] || continue
    awk -v RS= -v codename="$codename" -v suite="$RDKAFKA_SUITE" '
      {
        count = split($0, line, "\n"); keep = 0; out = ""; uris = ""
        for (i = 1; i <= count; i++) {
          if (line[i] ~ /^#/) continue
          key = tolower(line[i]); sub(/:.*/, "", key)
          if (key == "suites") {
            if ((" " substr(line[i], index(line[i], ":") + 1) " ") ~ ("[ \t]" codename "[ \t]")) keep = 1
          } else if (key == "enabled") {
            if (tolower(line[i]) ~ /no[ \t]*$/) { keep = 0; break }
          } else if (key != "types" && key != "components" && key != "architectures") {
            out = out line[i] "\n"
          }
        }
        if (keep) printf "Types: deb-src\nSuites: %s\nComponents: main\n%s\n", suite, out
      }' "$file"
  done >"$target/system.sources"
  # deb [options] URI SUITE components… ; the options may hold spaces.
  entry="^\\s*deb\\s+((\\[[^]]*\\]\\s+)?\\S+)\\s+$codename\\s.*"
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -e "$file" ] || continue
    sed -n -E "s@$entry@deb-src \\1 $RDKAFKA_SUITE main@p" "$file"
  done >"$target/system.list"
  if ! [ -s "$target/system.sources" ] && ! [ -s "$target/system.list" ]; then
    echo "no source in /etc/apt carries $codename, so the address of $RDKAFKA_SUITE's sources is unknown" >&2
    return 1
  fi
}

# Fetches the source package into the current folder, with an apt configuration of its own: the machine's lists stay as
# they are. apt checks the signature against Debian's key ring as always.
rdkafka_fetch_source() {
  local apt_dir=$1
  local -a private=(-o "Dir::Etc::sourcelist=/dev/null" -o "Dir::Etc::sourceparts=$apt_dir/sources"
    -o "Dir::State::lists=$apt_dir/lists" -o "Dir::Cache=$apt_dir/cache"
    -o "APT::Sandbox::User=$(id -un)" -o "Acquire::Retries=3" -o "Acquire::Languages=none")
  mkdir -p "$apt_dir"/{sources,lists/partial,cache/archives/partial}
  rdkafka_apt_sources "$apt_dir/sources" || return 1
  apt-get -q "${private[@]}" update || return 1
  apt-get -q "${private[@]}" source librdkafka
}

# Makes `pkg-config --libs rdkafka` complete for a static library (its own file names none of its dependencies): whoever
# links it need not know what it is made of, and needs no LD_LIBRARY_PATH to run.
rdkafka_write_pc() {
  local prefix=$1 final=$2 version=$3
  rm -rf "$prefix"/lib/pkgconfig/* "$prefix/lib/cmake"
  cat >"$prefix/lib/pkgconfig/rdkafka.pc" <<PC
prefix=$final
libdir=\${prefix}/lib
includedir=\${prefix}/include

Name: librdkafka
Description: The Apache Kafka C/C++ library (static)
Version: $version
Requires: libcurl zlib libcrypto libssl libsasl2 libzstd liblz4
Cflags: -I\${includedir}
Libs: -L\${libdir} -lrdkafka -pthread -lm
PC
}

# The whole build in one place; runs in a temporary folder, whose path is $1, and renames its result into the cache.
rdkafka_build_in() {
  local work=$1 source version final
  cd "$work" || return 1
  rdkafka_fetch_source "$work/apt" || return 1
  source=$(find "$work" -maxdepth 1 -type d -name 'librdkafka-*' | head -n 1)
  [ -n "$source" ] || return 1
  version=$(basename -- "$source" | sed 's/^librdkafka-//')
  final=$KFAST_CACHE/librdkafka-$version-$(kfast_distro)
  local -a launcher=()
  if command -v ccache >/dev/null; then
    launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
    # It shall know the files again in the next temporary folder.
    export CCACHE_BASEDIR=$work CCACHE_NOHASHDIR=true
  fi
  cmake -S "$source" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DCMAKE_C_FLAGS_RELWITHDEBINFO="-O2 -g1 -DNDEBUG" -DRDKAFKA_BUILD_STATIC=ON \
    -DWITH_CURL=ON -DENABLE_LZ4_EXT=ON -DRDKAFKA_BUILD_EXAMPLES=OFF -DRDKAFKA_BUILD_TESTS=OFF \
    -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_INSTALL_PREFIX="$work/prefix" \
    "${launcher[@]}" || return 1
  # The C library only: kfast does not use the C++ one.
  cmake --build "$work/build" -j "$(nproc)" --target rdkafka || return 1
  cmake --install "$work/build/src" || return 1
  rdkafka_write_pc "$work/prefix" "$final" "$version" || return 1
  rm -rf "$final"
  mv -T "$work/prefix" "$final"
}

# Builds it if nobody has yet. Two commands at once build it once. Returns non-zero if it cannot be had.
ensure_rdkafka_built() {
  [ -z "$KFAST_RDKAFKA_PREFIX" ] || return 0
  mkdir -p "$KFAST_CACHE"
  local work status=0 lock
  exec {lock}>"$KFAST_CACHE/.librdkafka.lock"
  flock "$lock"
  find_rdkafka_prefix
  if [ -z "$KFAST_RDKAFKA_PREFIX" ]; then
    say "building a newer librdkafka from Debian's $RDKAFKA_SUITE sources (once, about 70 s): this system's cannot" \
      "log in to current Kafka with SASL/SCRAM"
    # In the cache folder, not in /tmp: the last step is a rename.
    work=$(mktemp -d "$KFAST_CACHE/.librdkafka.XXXXXX")
    quietly "$work/log" rdkafka_build_in "$work" || status=$?
    rm -rf "$work"
    find_rdkafka_prefix
    if [ "$status" -eq 0 ]; then
      say "librdkafka is in $KFAST_RDKAFKA_PREFIX; to build by hand:" \
        "cmake -S . -B build/mine -DCMAKE_PREFIX_PATH=$KFAST_RDKAFKA_PREFIX"
    fi
  fi
  exec {lock}>&-
  [ -n "$KFAST_RDKAFKA_PREFIX" ]
}

# After the packages for RDKAFKA_ORIGIN are installed: builds, or falls back and says what that costs.
ensure_rdkafka() {
  case $RDKAFKA_ORIGIN in
    system) return 0 ;;
    built)
      if ensure_rdkafka_built; then return 0; fi
      install_packages "the Kafka client that kfastd uses" librdkafka-dev
      mkdir -p "$KFAST_CACHE"
      date >"$(rdkafka_fallback_mark)"
      ;;
  esac
  say "warning: using this system's librdkafka $(pkg-config --modversion rdkafka): kfastd will refuse SASL/SCRAM" \
    "profiles. To try for a newer one again, remove $(rdkafka_fallback_mark)"
}
