#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Runs an arm64 program where there is a real arm64 KVM: on this machine if it has one, otherwise
# in a nested host, that is a Debian kernel at EL2 of an emulated arm64 machine, started for this
# one program.
#
#   nested.sh [OPTION]... [VAR=VALUE]... PROGRAM [ARG]...
#
# The program must be static. It finds itself, and every file that a VALUE or an ARG names, at the
# same path as here, so the same command line works in both cases; nothing else of this machine is
# there. Its output is printed as it comes, its exit status is this script's: 124 if the time was
# over, 125 if the nested host died or said nothing. The whole console goes to build/log/NAME.log.
#
#   -o DIR      DIR is emptied; what the program leaves in it there is here afterwards. The
#               variable OUT holds its path
#   -t SECONDS  how long it may take (300)
#   -n NAME     name of the log (the program's)
# and for the nested host only:
#   -c CPU      neoverse-n1; max,pauth-impdef=on has SVE, pointer authentication and more
#   -g VERSION  interrupt controller: 3 (default) or 2
#   -s N, -m M  CPUs (2) and memory (2G)
#   -k SERIES   its kernel: 6.12 or another that guest-assets.sh has fetched
set -eu -o pipefail
# shellcheck source=scripts/setup.sh
. "$(dirname "$0")/setup.sh"

cpu=neoverse-n1 gic=3 smp=2 memory=2G limit=300 kernel=6.12 name='' out=''
while getopts c:g:s:m:t:k:n:o: option; do
    case $option in
    c) cpu=$OPTARG ;;
    g) gic=$OPTARG ;;
    s) smp=$OPTARG ;;
    m) memory=$OPTARG ;;
    t) limit=$OPTARG ;;
    k) kernel=$OPTARG ;;
    n) name=$OPTARG ;;
    o) out=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))

variables=()
while [[ ${1:-} =~ ^[A-Za-z_][A-Za-z_0-9]*= ]]; do
    variables+=("$1")
    shift
done
[ $# -gt 0 ] || die "usage: nested.sh [OPTION]... [VAR=VALUE]... PROGRAM [ARG]..."
[ -x "$1" ] || die "$1 is not a program"
log=$BUILD/log/${name:-$(basename "$1")}.log
mkdir -p "$BUILD/log"
if [ -n "$out" ]; then
    rm -rf "$out"
    mkdir -p "$out"
    out=$(cd "$out" && pwd)
    variables+=("OUT=$out")
fi

if have_arm64_kvm; then
    status=0
    timeout --foreground -k 5 "$limit" env "${variables[@]}" "$@" </dev/null 2>&1 |
        tee "$log" || status=${PIPESTATUS[0]}
    exit "$status"
fi

image=$CACHE/kernel-$kernel/vmlinuz
[ -e "$image" ] || die "no kernel $kernel: first run scripts/guest-assets.sh kernel $kernel"
work=$(mktemp -d -p "$BUILD" nested.XXXXXX)
trap 'rm -rf "$work"' EXIT

# The files to take along, and the directories they are in.
files() {
    local word path
    for word in "$@" "${variables[@]#*=}"; do
        [ -f "$word" ] || continue
        path=$(realpath -s "$word")
        while [ "$path" != / ]; do
            printf '%s\n' "${path#/}"
            path=$(dirname "$path")
        done
    done | LC_ALL=C sort -u
}

{
    echo "mkdir -p $(printf %q "$PWD") ${out:+$(printf %q "$out")} && cd $(printf %q "$PWD") || exit 125"
    printf 'exec env'
    printf ' %q' "${variables[@]}" "$@"
    echo
} >"$work/nested-run"
printf %s "$out" >"$work/nested-out"
"$ROOT/scripts/initramfs.sh" nested "$BUILD/nested.cpio"
{
    cat "$BUILD/nested.cpio"
    (cd / && files "$@" | cpio --quiet -L -o -H newc -R 0:0)
    (cd "$work" && printf '%s\n' nested-run nested-out | cpio --quiet -o -H newc -R 0:0)
} >"$work/initrd"

# panic=-1: a nested host that dies ends at once instead of running into the time limit.
status=0
timeout --foreground -k 5 "$limit" qemu-system-aarch64 \
    -M "virt,virtualization=on,gic-version=$gic" -cpu "$cpu" -smp "$smp" -m "$memory" \
    -accel tcg,thread=multi -nic none -display none -monitor none -no-reboot \
    -chardev stdio,id=console,signal=off -serial chardev:console \
    -kernel "$image" -initrd "$work/initrd" \
    -append "console=ttyAMA0 loglevel=4 mitigations=off panic=-1" </dev/null 2>"$work/stderr" |
    tee "$log" |
    sed -u -n '/^\[\[nested begin .*]]$/,/^\[\[nested \(files\|kernel\)]]$/ { /^\[\[nested /d; p }' ||
    status=${PIPESTATUS[0]}
cat "$work/stderr" >>"$log"

if [ -n "$out" ]; then
    sed -n '/^\[\[nested files]]$/,/^\[\[nested kernel]]$/ { /^\[\[nested /d; p }' "$log" |
        base64 -d | gzip -dc 2>/dev/null | tar -C "$out" -xf - 2>/dev/null || true
fi
said=$(sed -n 's/^\[\[nested exit \([0-9]*\)]]$/\1/p' "$log" | tail -n 1)
[ -z "$said" ] || exit "$said"
tail -n 15 "$log" >&2
[ "$status" != 124 ] || { echo "nested host: not done after $limit seconds, see $log" >&2; exit 124; }
echo "nested host: ended without the program's exit status, see $log" >&2
exit 125
