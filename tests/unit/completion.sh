#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# completion.sh DEVVM SCRIPT: what bash's completion offers, asked of the built program. No libvirt:
# its library's own test driver stands in, which has no VM of devvm's.
set -eu
devvm=$(realpath "$1")
script=$(realpath "$2")
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
export HOME=$top XDG_CONFIG_HOME=$top/.config DEVVM_URI=test:///default
mkdir "$top/project"
cd "$top/project"
printf '[vm eins]\n[vm elf]\nmemory = 1G\ncpus = 1\n[module foo]\nko = foo.ko\n' >devvm.conf
mkdir "$top/bin"
ln -s "$devvm" "$top/bin/devvm"
PATH=$top/bin:$PATH
# shellcheck source=/dev/null
. "$script"
bad=0

# expect WANTED WORD…: WANTED may be a pattern, and is matched against all that is offered.
expect() {
	local wanted=$1
	shift
	COMP_WORDS=("$@")
	COMP_CWORD=$(($# - 1))
	COMPREPLY=()
	_devvm
	local got
	got=$(printf '%s\n' "${COMPREPLY[@]}" | sort | tr '\n' ' ')
	# shellcheck disable=SC2053
	[[ $got == $wanted ]] || { echo "not ok: '$*' gave '$got', not '$wanted'"; bad=1; }
}

expect '*config*init*up*' devvm ''
expect 'doctor down ' devvm 'do'
expect '--help --version ' devvm -
expect 'elf ' devvm up ''
expect 'elf ' devvm up e
expect ' ' devvm up elf ''
expect 'elf ' devvm up --vm ''
expect 'elf ' devvm ls --vm = e
expect '*--dry-run*--help*--vm*' devvm up -
expect '--json ' devvm config --j
expect '--force ' devvm init --f
expect 'unload-module up ' devvm help u
expect ' ' devvm nonsense ''
expect ' ' devvm exec elf -- ''
# shellcheck disable=SC2016
expect ' ' devvm 'a b' '$(touch x)'
printf 'nonsense\n' >devvm.conf
expect ' ' devvm up ''
[ ! -e x ] || { echo "not ok: a word was run"; bad=1; }
exit $bad
