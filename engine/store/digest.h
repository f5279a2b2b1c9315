/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256, as images name their parts by it: 64 lower-case digits. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { DIGEST_HEX = 65 }; /* with its NUL */

struct digest;

struct digest *digest_new(void); /* NULL without memory */
struct digest *digest_free(struct digest *digest);
void digest_add(struct digest *digest, const void *data, size_t size);
/* Ends it: nothing is added afterwards. */
void digest_hex(struct digest *digest, char ret[static DIGEST_HEX]);

/* "sha256:..." as documents write it: the digits, or NULL if it is nothing of the kind. */
const char *digest_of_words(const char *words);
bool digest_is_hex(const char *text);
