#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Everything about a tree that must not depend on who serves it, in text.
cd "$1" || exit 1
find . -mindepth 1 -printf '%P %y %m %U %G %n %l' \( -type f -printf ' %s' -o -true \) -printf '\n' | sort
find . -type f -print0 | sort -z | xargs -0 sha256sum
