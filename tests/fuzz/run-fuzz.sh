#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# run-fuzz.sh FUZZER CORPUS SECONDS: looks for new inputs, in a copy of the corpus.
set -eu
fuzzer=$1 corpus=$2 seconds=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/corpus"
status=0
# Too long a file is an errno (the target sees to that), not a crash.
TMPDIR=$work "$fuzzer" -handle_xfsz=0 -max_total_time="$seconds" -timeout=20 -rss_limit_mb=1024 -max_len=4096 \
	-artifact_prefix="$work/" -print_final_stats=1 \
	"$work/corpus" "$corpus" >"$work/log" 2>&1 || status=$?
grep -m 1 -A 12 ERROR "$work/log" || true
tail -n 12 "$work/log"
for f in "$work"/crash-* "$work"/timeout-* "$work"/oom-* "$work"/leak-*; do
	[ -e "$f" ] || continue
	echo "input that failed, base64: $f"
	base64 <"$f"
done
# libFuzzer ends with 77, which would read as skipped.
[ $status -eq 0 ]
