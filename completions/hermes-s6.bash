# shellcheck shell=bash
# The completion of bash for the programs of hermes-s6, with the package
# bash-completion or without it.

_hermes_s6() {
	local words=() word line i helper=${BASH_SOURCE[0]%/*}/../../hermes-s6/complete
	# bash breaks words at = and : as well.
	for ((i = 0; i <= COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if ((i > 1)) && [[ $word == [=:]* || ${COMP_WORDS[i - 1]} == *[=:] ]]; then
			words[-1]+=$word
		else
			words+=("$word")
		fi
	done
	word=${COMP_WORDS[COMP_CWORD]#[=:]}
	COMPREPLY=()
	while IFS= read -r line; do
		case $line in
		"<directories>") _hermes_s6_own "$word" -d && compopt -o filenames ;;
		"<files>") _hermes_s6_own "$word" -f && compopt -o filenames ;;
		"<users>") _hermes_s6_own "$word" -u ;;
		"<more>") compopt -o nospace ;;
		*)
			line=${line%%$'\t'*}
			COMPREPLY+=("${line#"${words[-1]%"$word"}"}")
			;;
		esac
	done < <("$helper" "${words[@]}")
} 2>/dev/null

# _hermes_s6_own WORD OPTION: what bash itself finds.
_hermes_s6_own() {
	mapfile -t COMPREPLY < <(compgen "$2" -- "$1")
}

complete -F _hermes_s6 hermes-{detect,fence,logs,reconcile,registrar,s6,svc,svc-register,svc-unregister,svstat}
