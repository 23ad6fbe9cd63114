# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Completion of devvm for bash. All it offers comes from `devvm complete`: it knows no verbs.
#   $ . orchestrator/completion/devvm.bash       # without `meson install`

_devvm() {
	local words=() i word
	for ((i = 1; i <= COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if [[ $word == -- && $i -lt $COMP_CWORD ]]; then
			# The rest is a command, of the guest, which has the host's programs.
			if declare -F _command_offset >/dev/null; then
				_command_offset $((i + 1))
			fi
			return
		fi
		# bash makes three words of --vm=NAME
		if [[ $word == = ]]; then
			[[ $i -lt $COMP_CWORD ]] && continue
			word=
		fi
		words+=("$word")
	done
	mapfile -t COMPREPLY < <("${COMP_WORDS[0]}" complete -- "${words[@]}" 2>/dev/null)
}
complete -o default -F _devvm devvm
