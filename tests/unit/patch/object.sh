#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# object.sh LIBRARY: what every program of a pool has to load is small and needs nothing.
set -u
library=$1 failed=0

expect()
{
	if [ "$2" != "$3" ]; then
		echo "FAIL $1: '$3', not '$2'"
		failed=1
	fi
}

expect 'needs libraries' '' "$(readelf -dW "$library" | grep -E 'NEEDED|TEXTREL|RUNPATH|INIT_ARRAY')"
expect 'undefined symbols' '__environ _dl_debug_addr _r_debug' "$(readelf --dyn-syms -W "$library" |
	awk '$7 == "UND" && $8 != "" { if ($5 != "WEAK") print "strong:"; print $8 }' | sort | paste -sd' ')"
expect 'segments' 2 "$(readelf -lW "$library" | grep -c ' LOAD ')"
expect 'executable stack' 0 "$(readelf -lW "$library" | grep GNU_STACK | grep -c RWE)"
expect 'relocations of other kinds' '' "$(readelf -rW "$library" | awk '$3 ~ /^R_X86/ { print $3 }' |
	grep -vE 'R_X86_64_(RELATIVE|GLOB_DAT)' | sort -u)"
expect 'thread-local storage' 0 "$(readelf -lW "$library" | grep -c ' TLS ')"
# copying with vector registers is libfs' affair (ipc/copy.c), and is done where they are saved
expect 'vector registers' '' "$(objdump -d --no-show-raw-insn "$library" | awk '/^[0-9a-f]+ </ { f = $2 } /%[xyz]mm/ { print f }' |
	sort -u | grep -v '<copy')"
exit $failed
