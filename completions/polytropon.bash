# SPDX-License-Identifier: Apache-2.0
# bash completion for polytropon(1)

_polytropon_pools() {
	polytropon ps --json 2>/dev/null | sed -n 's/.*"pool":"\([^"]*\)".*/\1/p'
}

_polytropon() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]} words=() i
	local settings="memory= cpu_weight= timeout= cache.size= cache.readahead= cache.policy= flush.interval=
		flush.dirty_ratio= flush.background_ratio= flush.batch= flush.on_close= fuse.passthrough= stats.measure=
		io.read_bps= io.write_bps= io.iops= io.meta_ops= io.burst="
	COMPREPLY=()

	if [ "$COMP_CWORD" = 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W "up ps run exec kill logs image oci set stats top trace metrics doctor bench df clone dump down mkfs fsck version help --help --version" -- "$cur")
		return
	fi
	for ((i = 2; i < COMP_CWORD; i++)); do
		if [ "${COMP_WORDS[i]}" = -- ] && declare -F _command_offset >/dev/null; then
			_command_offset $((i + 1))
			return
		fi
	done
	case "$command:$prev" in
	up:up)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	run:--image | dump:--image | mkfs:mkfs | mkfs:--force | fsck:fsck | fsck:-n | fsck:-y | fsck:--json | fsck:--progress)
		case "$cur" in
		-*) ;;
		*)
			mapfile -t COMPREPLY < <(compgen -f -- "$cur")
			return
			;;
		esac
		[ "$command" = mkfs ] && mapfile -t words < <(compgen -W "--size --force --help" -- "$cur")
		[ "$command" = fsck ] && mapfile -t words < <(compgen -W "-n -y --json --progress --help" -- "$cur")
		;;
	mkfs:--size)
		return
		;;
	dump:*.img | dump:/dev/*)
		mapfile -t words < <(compgen -W "super journal groups inode directory extents attributes --json" -- "$cur")
		;;
	run:--host)
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		return
		;;
	run:--at | run:--size | run:--cpus | run:--cpu-weight | run:--memory | run:--io-* | set:--container)
		return
		;;
	run:--set)
		mapfile -t words < <(compgen -W "$settings" -- "$cur")
		;;
	run:run)
		mapfile -t words < <(compgen -W "$(_polytropon_pools) --root --host --mem --image --at --help" -- "$cur")
		;;
	run:*)
		mapfile -t words < <(compgen -W "--root --name --detach --tty --env --uid --workdir --hostname --volume --pids --cap --read-only --host-users --host --mem --image --at --size --cpus --cpu-weight --memory --user --network --io-read-bps --io-write-bps --io-iops --io-meta-ops --io-burst --set --" -- "$cur")
		;;
	clone:clone | clone:--rm | clone:--list | clone:--json)
		mapfile -t words < <(compgen -W "$(_polytropon_pools) --rm --list --json --help" -- "$cur")
		;;
	clone:*)
		mapfile -t words < <(compgen -W "$(polytropon clone --list "${COMP_WORDS[COMP_CWORD - 1]}" 2>/dev/null |
			sed -n '2,$s/ .*//p')" -- "$cur")
		;;
	dump:dump)
		mapfile -t words < <(compgen -W "$(_polytropon_pools) --image --json --help" -- "$cur")
		;;
	image:image)
		mapfile -t words < <(compgen -W "import ls rm --help" -- "$cur")
		;;
	image:*)
		case "$cur" in
		-*) mapfile -t words < <(compgen -W "--pool --replace --max-size --max-entries --max-ratio --devices --json --help" -- "$cur") ;;
		*)
			mapfile -t COMPREPLY < <(compgen -f -- "$cur")
			return
			;;
		esac
		;;
	oci:oci)
		mapfile -t words < <(compgen -W "create start run state kill delete exec ps pause resume update list features --root --log --log-format --help" -- "$cur")
		;;
	oci:--bundle | oci:-b)
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		return
		;;
	kill:kill | logs:logs)
		mapfile -t words < <(compgen -W "$(_polytropon_pools) --help" -- "$cur")
		;;
	kill:* | logs:*)
		mapfile -t words < <(compgen -W "$(polytropon clone --list "$prev" 2>/dev/null | sed 1d | cut -d' ' -f1) --follow" -- "$cur")
		;;
	run:--root | run:--name | run:--env | run:--uid | run:--workdir | run:--hostname | run:--volume | run:--pids | run:--cap)
		return
		;;
	exec:exec | stats:stats | set:set | df:df | dump:* | down:*)
		mapfile -t words < <(compgen -W "$(_polytropon_pools) --help" -- "$cur")
		;;
	exec:*)
		mapfile -t words < <(compgen -W "--" -- "$cur")
		;;
	set:*)
		mapfile -t words < <(compgen -W "$settings --container" -- "$cur")
		;;
	top:--sort)
		mapfile -t words < <(compgen -W "cpu ops spared hit dirty cache throttled p50 p99 pool" -- "$cur")
		;;
	trace:--door)
		mapfile -t words < <(compgen -W "preload fuse" -- "$cur")
		;;
	trace:--op)
		mapfile -t words < <(compgen -W "open close read write getattr setattr readlink lookup getdents fsync unlink rename" -- "$cur")
		;;
	metrics:--socket | bench:--report)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	*:--watch | *:--interval | stats:--container | trace:--pid | trace:--path | trace:--slower | trace:--count | metrics:--listen)
		return
		;;
	trace:trace)
		mapfile -t words < <(compgen -W "$(_polytropon_pools) --help" -- "$cur")
		;;
	trace:*)
		mapfile -t words < <(compgen -W "--json --op --door --pid --path --errors --slower --count --help" -- "$cur")
		;;
	top:*)
		mapfile -t words < <(compgen -W "--once --sort --containers --interval --help" -- "$cur")
		;;
	metrics:*)
		mapfile -t words < <(compgen -W "--socket --listen --help" -- "$cur")
		;;
	bench:*)
		mapfile -t words < <(compgen -W "$(polytropon bench 2>/dev/null) all --quick --json --threshold --report --help" -- "$cur")
		;;
	stats:*)
		mapfile -t words < <(compgen -W "--json --processes --slow --container --watch --help" -- "$cur")
		;;
	ps:* | df:* | doctor:*)
		mapfile -t words < <(compgen -W "--json --help" -- "$cur")
		;;
	help:help)
		mapfile -t words < <(compgen -W "up ps run exec kill logs image oci set stats top trace metrics doctor bench df clone dump down mkfs fsck version" -- "$cur")
		;;
	esac
	COMPREPLY=("${words[@]}")
	[[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace
	return 0
}

complete -F _polytropon polytropon
