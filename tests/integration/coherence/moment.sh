#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs a program for two seconds in an empty directory of the kernel's, so that what it expects is tested too.
dir=$(mktemp -d /tmp/coherence.XXXXXX) || exit 1
"$1" "$dir" 1 2
status=$?
rm -rf "$dir"
exit $status
