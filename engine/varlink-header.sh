#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prints an interface file as the C string that the engine describes itself with.
set -eu
echo 'static const char io_polytropon_varlink[] ='
sed -e 's/["\\]/\\&/g; s/.*/"&\\n"/' "$1"
echo ';'
