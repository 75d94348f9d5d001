//go:build linux

package test

// gateway stands in for hermes: it says that it runs, as the real one does, and
// then does what HOME/bin/behaviour says, or stays.
const gateway = `#!/bin/sh
if [ "$1" = dashboard ]; then
	# With what is there: it was not started before it could be.
	echo "$HOME $*" $(ls "$HERMES_HOME/logs") >"$HERMES_HOME/dashboard"
	[ ! -e "$HERMES_HOME/misconfigured" ] || exit 78
	exec sleep 1000000
fi
[ "$1" != -p ] || dir=$HERMES_HOME/profiles/$2
cd "${dir:-$HERMES_HOME}" || exit
# In one step: the container may end at any moment.
echo '{"gateway_state":"running"}' >gateway_state.json.own
mv gateway_state.json.own gateway_state.json
echo $$ >gateway.pid
echo "up: $*"
[ ! -e "$HERMES_HOME/behaviour" ] || . "$HERMES_HOME/behaviour"
exec sleep 1000000
`

// standIn is the gateway of the scripts: it writes down what it got and stays.
const standIn = `#!/bin/sh
dump=$HERMES_HOME/dump
printf '%s\0' "$@" >"$dump.args.new"
cat /proc/$$/environ >"$dump.env.new"
id -un >"$dump.user.new"
pwd >"$dump.cwd.new"
readlink /proc/$$/fd/0 >"$dump.stdin.new"
for f in args env user cwd stdin; do mv "$dump.$f.new" "$dump.$f"; done
echo "gateway $*"
echo "to stderr" >&2
exec sleep 100000
`

// forgetful is a gateway that keeps no state, so that what the pages show of it
// does not depend on who of us wrote last.
const forgetful = `#!/bin/sh
cd "$HERMES_HOME/profiles/$2" || exit
echo "up: $*"
[ ! -e "$HERMES_HOME/behaviour" ] || . "$HERMES_HOME/behaviour"
exec sleep 1000000
`

// chaosGateway behaves by its profile's name: it stays, exits 0 when it is told
// to stop, or dies at once.
const chaosGateway = `#!/bin/sh
case $2 in
p6) trap 'kill $!; exit 0' TERM; sleep 100000 & wait ;;
p7) exit 1 ;;
esac
exec sleep 100000
`

// soakGateway behaves by the number in its profile's name: it dies at once, hangs
// on SIGTERM, floods its log, or runs.
const soakGateway = `#!/bin/sh
n=${2#p}
case $((n % 10)) in
0) exit 1 ;;
1) trap '' TERM ;;
2) i=0; while [ $i -lt 20000 ]; do echo "$i of the flood: this line is as good as the others before and after it"; i=$((i + 1)); done ;;
esac
exec sleep 100000
`
