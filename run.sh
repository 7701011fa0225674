#!/usr/bin/env bash
# Sets up, builds, shows, tests and measures Kiln. `./run.sh --help` says how.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# What each step needs: what to look for, and the Debian package that has it.
# A word with a slash is a file; `x|y` is there if one of the two is.
build_needs=(
  gcc:gcc
  /usr/include/stdio.h:libc6-dev
)
run_needs=(
  qemu-system-x86_64:qemu-system-x86
  dpkg-deb:dpkg
)
test_needs=(
  fsck.erofs:erofs-utils
  musl-gcc:musl-tools
  busybox:busybox-static
  grub-mkrescue:grub-common
  /usr/lib/grub/i386-pc/moddep.lst:grub-pc-bin
  /usr/lib/grub/x86_64-efi/moddep.lst:grub-efi-amd64-bin
  "/usr/share/ovmf/OVMF.fd|/usr/share/OVMF/OVMF_CODE.fd:ovmf"
  xorriso:xorriso
  mformat:mtools
  /usr/bin/python3:python3
  perl:perl
  lua5.4:lua5.4
  sqlite3:sqlite3
)

bench_needs=(
  musl-gcc:musl-tools
)

usage() {
  cat <<'TEXT'
./run.sh                        install what is missing, build, and run a Debian program in an image of its own
./run.sh build                  install what is missing and build target/release/kiln
./run.sh test                   everything: lints, host tests, then images booted and checked
./run.sh test host              lints and the tests that boot nothing
./run.sh test boot              images booted in QEMU
./run.sh test kvm               images booted under Linux's KVM, on a processor that QEMU emulates
./run.sh test NAME...           the booted tests whose names contain a NAME; `test --list` prints all names
./run.sh attack [CALLS [SEED]]  several processes attack images at once, on 1, 2 and 4 processors: CALLS in all
    --json                      what came of it as one JSON object
    --image NAME --from BATCH   one image alone, from that batch on
./run.sh bench [NAME...]        the figures, beside Linux's from the same QEMU
    --json                      one JSON object per line
    --save                      keep the figures as the baseline (bench/baseline.json)
    --check                     fail if a figure is over its limit, or 2 % worse than the baseline
./run.sh --help                 this text

Environment: KILN_QEMU (the QEMU to use), KILN_ACCEL (kvm or tcg), KILN_TEST_THREADS (booted tests at a time).
TEXT
}

say() { printf 'run.sh: %s\n' "$*" >&2; }

is_there() {
  local what
  local -a choices
  IFS='|' read -ra choices <<<"$1"
  for what in "${choices[@]}"; do
    case $what in
      /*) [ ! -e "$what" ] || return 0 ;;
      *) ! command -v "$what" >/dev/null 2>&1 || return 0 ;;
    esac
  done
  return 1
}

# Installs the packages that are missing if that is allowed, else says how and ends.
require() {
  local need missing=()
  for need in "$@"; do
    is_there "${need%:*}" || missing+=("${need##*:}")
  done
  if [ ${#missing[@]} -gt 0 ]; then
    local install=(apt-get install -y --no-install-recommends "${missing[@]}")
    if ! command -v apt-get >/dev/null 2>&1; then
      say "missing, and this is no Debian or Ubuntu; the Debian packages are called: ${missing[*]}"
      exit 1
    fi
    if [ "$(id -u)" != 0 ]; then
      say "some packages are missing; install them and start again:"
      printf '    sudo apt-get update && sudo %s\n' "${install[*]}" >&2
      exit 1
    fi
    say "installing: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >&2 || say "apt-get update failed; trying with the lists that are there"
    "${install[@]}" -q >&2
    for need in "$@"; do
      is_there "${need%:*}" || { say "${need##*:} is installed, but ${need%:*} is not there"; exit 1; }
    done
  fi
  if ! command -v cargo >/dev/null 2>&1; then
    if [ -x "$HOME/.cargo/bin/cargo" ]; then
      PATH="$HOME/.cargo/bin:$PATH"
    else
      say "Rust is missing: install rustup (https://rustup.rs, or the package rustup), then start again"
      exit 1
    fi
  fi
}

target=${CARGO_TARGET_DIR:-target}

build() {
  say "building kiln (the first time takes a few minutes)"
  # Its failure must be seen also where `set -e` is off.
  cargo build --release --package kiln "$@" || return 1
  KILN=$(realpath "$target/release/kiln")
  export KILN
}

show() {
  require "${build_needs[@]}" "${run_needs[@]}"
  build
  local program='
import platform, sys, os
print(f"Hello from {sys.executable}, {platform.python_implementation()} {platform.python_version()}, unmodified from Debian.")
print(f"It runs as process {os.getpid()} on {platform.system()} {platform.release()}, as it believes;")
print(f"in truth in an image made for it, with {len(os.listdir(chr(47)))} names in its root directory.")
print("The sum of the first million squares:", sum(n * n for n in range(1_000_001)))
'
  say "running: kiln run --deb python3 -- python3 -c '...'"
  "$KILN" run --deb python3 --mem 256M --timeout 300 -- python3 -c "$program" </dev/null
  if [ -t 0 ] && [ -t 1 ]; then
    say "a prompt of it (Ctrl-D ends it, Ctrl-A x stops the machine)"
    "$KILN" run --deb python3 --mem 256M -- python3 -q
  fi
  say "next: $target/release/kiln --help, and docs/README.md"
}

passed=0 failed=0 failures=()

# One check that is not a test of its own: a name and a command.
check() {
  local name=$1 log
  shift
  log=$(mktemp)
  say "$name"
  if "$@" >"$log" 2>&1; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    failures+=("$name")
    cat "$log"
    printf 'FAILED %s\n' "$name"
  fi
  rm -f "$log"
}

# A command that prints the closing lines of Rust's test runner: adds them up.
count() {
  local name=$1 log status=0 ok bad
  shift
  log=$(mktemp)
  say "$name"
  "$@" 2>&1 | tee "$log" || status=$?
  read -r ok bad < <(awk '/^test result: /{for (i = 1; i < NF; i++) {
      if ($(i+1) ~ /^passed/) ok += $i
      if ($(i+1) ~ /^failed/) bad += $i } }
    END { print ok + 0, bad + 0 }' "$log")
  if [ "$status" != 0 ] && [ "$bad" = 0 ]; then
    # It did not come to its tests, or not to their end.
    bad=1
  fi
  passed=$((passed + ok))
  failed=$((failed + bad))
  [ "$bad" = 0 ] || failures+=("$name")
  rm -f "$log"
}

host_tests() {
  check "cargo fmt --check" cargo fmt --all --check
  check "cargo clippy" cargo clippy --workspace --all-targets --quiet -- -D warnings
  if command -v shellcheck >/dev/null 2>&1; then
    check "shellcheck" shellcheck run.sh .ci/run
  fi
  count "host tests" cargo test --workspace --no-fail-fast --quiet
}

booted_tests() {
  if ! build; then
    failed=$((failed + 1))
    failures+=("build of kiln")
    return
  fi
  count "booted tests: ${*:-all}" cargo run --release --quiet --package kiln-tests -- \
    --test-threads "${KILN_TEST_THREADS:-$(nproc)}" "$@"
}

finish() {
  local name
  for name in ${failures[@]+"${failures[@]}"}; do
    say "failed: $name"
  done
  printf '%d passed, %d failed\n' "$passed" "$failed"
  [ "$failed" = 0 ] && [ "$passed" != 0 ]
}

run_tests() {
  require "${build_needs[@]}" "${run_needs[@]}" "${test_needs[@]}"
  case ${1:-all} in
    all)
      host_tests
      booted_tests
      ;;
    host) host_tests ;;
    boot) booted_tests --skip kvm:: ;;
    kvm) booted_tests kvm:: ;;
    --list)
      cargo run --release --quiet --package kiln-tests -- --list
      return
      ;;
    *)
      local name
      # Each name is a filter of its own: the runner takes only one.
      for name in "$@"; do
        booted_tests "$name"
      done
      ;;
  esac
  finish
}

attack() {
  require "${build_needs[@]}" "${run_needs[@]}"
  build --quiet || return 1
  cargo run --release --quiet --package kiln-tests --bin kiln-attack -- "$@"
}

bench() {
  require "${build_needs[@]}" "${run_needs[@]}" "${bench_needs[@]}"
  build --quiet
  cargo run --release --quiet --package kiln-bench -- "$@"
}

command=${1:-show}
[ $# = 0 ] || shift
case $command in
  show) show ;;
  build)
    require "${build_needs[@]}"
    build
    ;;
  test) run_tests "$@" ;;
  attack) attack "$@" ;;
  bench) bench "$@" ;;
  -h | --help | help) usage ;;
  *)
    usage >&2
    exit 2
    ;;
esac
