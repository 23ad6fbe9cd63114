#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What a reviewer should not have to say: licence lines, format, shell mistakes.
set -eu
cd "$(dirname "$0")/.."
bad=0

complain() {
	echo "$*"
	bad=1
}

# Our sources: build folders and git's own aside.
sources() {
	find . \( -name 'build*' -type d -o -name .git \) -prune -o -type f \( "$@" \) -print | sort
}

check_spdx() {
	for f in $(sources -name '*.[ch]' -o -name '*.py' -o -name '*.sh' -o -name meson.build); do
		head -n 2 "$f" | grep -q 'SPDX-License-Identifier: GPL-2.0-or-later' ||
			complain "$f: no SPDX-License-Identifier line on top"
	done
}

check_format() {
	if ! command -v clang-format >/dev/null; then
		echo "note: no clang-format here, format not checked"
		return
	fi
	# shellcheck disable=SC2046
	clang-format --dry-run -Werror $(sources -name '*.[ch]') || complain "clang-format -i mends it"
}

check_shell() {
	command -v shellcheck >/dev/null || return 0
	# shellcheck disable=SC2046
	shellcheck $(sources -name '*.sh') .ci/run || complain "shellcheck complains"
}

check_python() {
	for f in $(sources -name '*.py'); do
		python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read(), sys.argv[1])' "$f" ||
			complain "$f: no valid Python"
	done
}

# A note, not a failure: a long file may have one subject, but look twice.
note_length() {
	for f in $(sources -name '*.[ch]' -o -name '*.py'); do
		lines=$(wc -l <"$f")
		[ "$lines" -le 500 ] || echo "note: $f has $lines lines"
	done
}

check_spdx
check_format
check_shell
check_python
note_length
exit $bad
