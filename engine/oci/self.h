/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "engine/util.h"

/*
 * Before anything else of a command that enters containers: makes this process's own file nothing that a container
 * could write to. May not return, and the command begins anew. Standard descriptors and others without
 * close-on-exec stay as they are.
 */
int self_protect(struct error *error);
