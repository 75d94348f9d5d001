//go:build linux

package test

import (
	"os"
	"strings"
)

// What a stand-in for hermes can do, in this order, before it stays.
const (
	// dashboard runs as the dashboard if it is asked to.
	dashboard = `if [ "$1" = dashboard ]; then
	# With what is there: it was not started before it could be.
	echo "$HOME $*" $(ls "$HERMES_HOME/logs") >"$HERMES_HOME/dashboard"
	[ ! -e "$HERMES_HOME/misconfigured" ] || exit 78
	exec sleep 100000
fi
`
	// dumps writes down what it got.
	dumps = `dump=$HERMES_HOME/dump
printf '%s\0' "$@" >"$dump.args.new"
cat /proc/$$/environ >"$dump.env.new"
id -un >"$dump.user.new"
pwd >"$dump.cwd.new"
readlink /proc/$$/fd/0 >"$dump.stdin.new"
for f in args env user cwd stdin; do mv "$dump.$f.new" "$dump.$f"; done
echo "gateway $*"
echo "to stderr" >&2
`
	// enters changes to the home of its profile.
	enters = `[ "$1" != -p ] || dir=$HERMES_HOME/profiles/$2
cd "${dir:-$HERMES_HOME}" || exit
`
	// records records there that it runs, as the real one does. It does so in one step,
	// because the container may end at any moment.
	records = `echo '{"gateway_state":"running"}' >gateway_state.json.own
mv gateway_state.json.own gateway_state.json
echo $$ >gateway.pid
`
	// talks reports about itself what it is told, with the real one's keys, and keeps all
	// other keys as that does: first each line of the file "says" in its home, then what comes
	// through the FIFO "tell" there. A line is a state, and members that precede those that it
	// always reports; or exit CODE; or notify.
	talks = `say() {
	state=$1 members=$2
	desired=$(sed -n 's/.*\("desired_state": *"[a-z]*"\).*/,\1/p' gateway_state.json 2>/dev/null)
	set -- $(cat /proc/$$/stat)
	sed "s/START/${22}/" >gateway_state.json.own <<-END
	{"kind":"hermes-gateway","pid":$$,"argv":["hermes"],"start_time":START,"gateway_state":"$state","exit_reason":null,"restart_requested":false,"active_agents":0,"active_work":[],"platforms":{},"served_profiles":[],"updated_at":"$(date -u +%Y-%m-%dT%H:%M:%S+00:00)"$desired$members}
	END
	mv gateway_state.json.own gateway_state.json
}
heed() {
	while read -r word rest; do
		case $word in
		exit) exit $rest ;;
		notify) echo >&3 ;;
		*) say "$word" "${rest:+,$rest}" ;;
		esac
	done
}
[ -p tell ] || mkfifo -m 666 tell
[ ! -e says ] || heed <says
while :; do heed <tell; done
`
	// behaves as the file behaviour in the home says, if there is one.
	behaves = `echo "up: $*"
[ ! -e "$HERMES_HOME/behaviour" ] || . "$HERMES_HOME/behaviour"
`
	// byName dies at once, hangs on SIGTERM, floods its log or exits 0 when it is told to
	// stop, depending on its profile's name.
	byName = `case $2 in
*0) exit 1 ;;
*1) trap '' TERM ;;
*2) i=0; while [ $i -lt 20000 ]; do echo "$i of the flood: this line is as good as the others before and after it"; i=$((i + 1)); done ;;
polite) trap 'kill $!; exit 0' TERM; sleep 100000 & wait ;;
esac
`
)

// writeGateway makes path a program that stands in for hermes: it does all of does, and then
// stays.
func writeGateway(path string, does ...string) error {
	return os.WriteFile(path, []byte("#!/bin/sh\n"+strings.Join(does, "")+"exec sleep 100000\n"), 0o755)
}
