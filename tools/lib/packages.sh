# shellcheck shell=bash
# Which Debian packages serve which purpose, and why. Needs say.sh, apt.sh and rdkafka.sh.

# purpose_parts PURPOSE…: the parts that the purposes are made of, each once, in a fixed order.
purpose_parts() {
  local purpose
  for purpose in "$@"; do
    case $purpose in
      build) echo "1 build" ;;
      demo) printf '%s\n' "1 build" "2 reader" "8 nginx" ;;
      kafka) echo "3 kafka" ;;
      bench) printf '%s\n' "1 build" "3 kafka" ;;
      bench-nginx) printf '%s\n' "1 build" "2 reader" "3 kafka" "8 nginx" "9 load" ;;
      test) printf '%s\n' "1 build" "2 reader" "3 kafka" "4 tests" "8 nginx" ;;
      reference) echo "6 reference" ;;
      package) printf '%s\n' "1 build" "7 package" ;;
      ci) printf '%s\n' "1 build" "2 reader" "3 kafka" "4 tests" "5 checks" "6 reference" "7 package" "8 nginx" ;;
    esac
  done | sort -u | cut -d ' ' -f 2
}

# has_part PART PART…: is the first among the others?
has_part() {
  local wanted=$1 part
  shift
  for part in "$@"; do [ "$part" != "$wanted" ] || return 0; done
  return 1
}

# part_packages PART: the packages of a part; RDKAFKA_ORIGIN says where librdkafka comes from.
part_packages() {
  case $1 in
    build)
      echo g++ cmake ninja-build pkg-config ccache ca-certificates
      echo libspdlog-dev libtomlplusplus-dev libcli11-dev nlohmann-json3-dev libboost-dev
      if [ "$RDKAFKA_ORIGIN" = built ]; then echo "${RDKAFKA_BUILD_PACKAGES[@]}"; else echo librdkafka-dev; fi
      ;;
    reader) echo kcat ;;
    kafka) echo default-jdk-headless maven ;;
    tests) echo libgtest-dev python3 python3-pytest python3-yaml relacy-dev libcpp-httplib-dev ;;
    checks)
      echo clang clang-format clang-tidy llvm "$(fuzzer_package)"
      echo g++-aarch64-linux-gnu googletest qemu-user git shellcheck abigail-tools
      echo systemd systemd-sysv systemd-container dbus
      ;;
    reference) echo doxygen g++ cmake ninja-build pkg-config ;;
    package) echo dpkg-dev file git lintian debootstrap systemd-container ;;
    nginx) echo nginx libnginx-mod-http-lua lua-resty-core "$(luajit_package)" lua-cjson curl ;;
    load) echo wrk python3 libcpp-httplib-dev ;;
  esac | tr ' ' '\n' | sort -u
}

# Debian 12 has two LuaJITs, and apt would take the one without lua-resty-core's additions; Debian 13 has only the other.
luajit_package() {
  case $(kfast_distro) in
    debian12) echo libluajit2-5.1-2 ;;
    *) echo libluajit-5.1-2 ;;
  esac
}

part_reason() {
  case $1 in
    build) echo "compiler, build system and libraries of kfast" ;;
    reader) echo "a Kafka client that is not ours, to read records back" ;;
    kafka) echo "Java and Maven, to run a real Apache Kafka" ;;
    tests) echo "test frameworks, model checker, and an HTTP library for an example" ;;
    checks) echo "clang's fuzzer and linters, aarch64 cross compiler and emulator, a systemd to boot" ;;
    reference) echo "makes the API reference from kfast.h" ;;
    package) echo "makes and checks Debian packages, and a Debian to install them in" ;;
    nginx) echo "a gateway with Lua in it, and curl to ask it, to run resty.kfast" ;;
    load) echo "requests at full rate, and an HTTP library for the proxy that kfast is compared with" ;;
  esac
}

# libFuzzer's runtime comes in a package that carries clang's own version. Asks dpkg first: apt's answer takes a second.
fuzzer_package() {
  local major
  major=$(clang_dependencies | grep -o -E '\bclang-[0-9]+' | head -n 1)
  echo "libclang-rt-${major#clang-}-dev"
}

clang_dependencies() {
  if ! dpkg-query -W -f '${Depends}\n' clang 2>/dev/null | grep clang-; then
    LC_ALL=C apt-cache depends clang
  fi
}

# install_parts PART…: one download for all parts, one line for each that lacks something.
install_parts() {
  local part
  local -a all=() wanted missing
  for part in "$@"; do
    mapfile -t wanted < <(part_packages "$part")
    mapfile -t missing < <(missing_packages "${wanted[@]}")
    if [ "${#missing[@]}" -gt 0 ]; then
      say "missing: ${missing[*]} ($(part_reason "$part"))"
      all+=("${missing[@]}")
    fi
  done
  [ "${#all[@]}" -gt 0 ] || return 0
  case " ${all[*]} " in
    *" nginx "*) without_service nginx install_packages "what is missing" "${all[@]}" ;;
    *) install_packages "what is missing" "${all[@]}" ;;
  esac
}

# without_service NAME COMMAND…: Debian starts a service when its package is installed, and at each boot from then on.
# Nobody asked for that one.
without_service() {
  local name=$1 status=0
  shift
  if [ ! -d /run/systemd/system ]; then
    "$@"
    return
  fi
  need_root
  as_root systemctl --quiet --runtime mask "$name.service"
  ("$@") || status=$?
  as_root systemctl --quiet --runtime unmask "$name.service"
  [ "$status" -eq 0 ] || exit "$status"
  as_root systemctl --quiet disable "$name.service"
}
