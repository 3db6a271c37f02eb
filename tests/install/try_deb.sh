#!/usr/bin/env bash
# Installs the Debian packages in a clean system and uses them there: the program, and a program of another project, by
# CMake and by pkg-config. Needs root, debootstrap and Debian's mirror.
# Usage: tests/install/try_deb.sh SUITE FOLDER      SUITE: bookworm or trixie, for which the packages in FOLDER were built
set -euo pipefail
suite=$1
folder=$(cd "$2" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
root=$(mktemp -d)
log=$root.log
trap 'rm -rf "$root"' EXIT
run() { chroot "$root" env DEBIAN_FRONTEND=noninteractive LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }
quiet() {
  if ! "$@" >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    echo "try_deb: failed: $*" >&2
    exit 1
  fi
}

quiet debootstrap --variant=minbase "$suite" "$root" ${MIRROR:+"$MIRROR"}
mkdir "$root/try"
cp "$folder"/gradus_*.deb "$folder"/libgradus-dev_*.deb "$here"/CMakeLists.txt "$here"/main.cpp "$root/try"
quiet run apt-get update
quiet run bash -c 'apt-get install --yes --no-install-recommends /try/gradus_*.deb'
run gradus --version
run bash -c 'for i in $(seq 200); do echo "one line $((i % 7)) of a text"; done > /try/text
  gradus ngram build --order 3 /try/text --out /try/text.ngram && gradus eval --model /try/text.ngram /try/text'
quiet run bash -c 'apt-get install --yes --no-install-recommends /try/libgradus-dev_*.deb g++ cmake make'
quiet run bash -c 'cmake -S /try -B /try/build && cmake --build /try/build'
echo "by CMake:      $(run /try/build/uses_gradus)"
# shellcheck disable=SC2016  # inside of that system
quiet run bash -c 'cd /try && g++ -std=c++20 main.cpp $(pkg-config --cflags --libs gradus) -o by_pkg_config'
echo "by pkg-config: $(run /try/by_pkg_config)"
quiet run apt-get purge --yes gradus libgradus-dev
run bash -c '! ls /usr/include/gradus /usr/bin/gradus /usr/lib/*/*gradus* 2>/dev/null'
echo "$suite: installed, used, removed"
