/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/store/digest.h"

struct digest {
	EVP_MD_CTX *context;
};

struct digest *digest_new(void)
{
	struct digest *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->context = EVP_MD_CTX_new();
	if (!d->context || !EVP_DigestInit_ex(d->context, EVP_sha256(), NULL))
		return digest_free(d);
	return d;
}

struct digest *digest_free(struct digest *digest)
{
	if (digest)
		EVP_MD_CTX_free(digest->context);
	free(digest);
	return NULL;
}

void digest_add(struct digest *digest, const void *data, size_t size)
{
	EVP_DigestUpdate(digest->context, data, size);
}

void digest_hex(struct digest *digest, char ret[static DIGEST_HEX])
{
	unsigned char raw[EVP_MAX_MD_SIZE] = {};
	unsigned size = 0;

	EVP_DigestFinal_ex(digest->context, raw, &size);
	for (unsigned i = 0; i < (DIGEST_HEX - 1) / 2; i++)
		snprintf(ret + 2 * i, 3, "%02x", raw[i]);
}

bool digest_is_hex(const char *text)
{
	return strlen(text) == DIGEST_HEX - 1 && strspn(text, "0123456789abcdef") == DIGEST_HEX - 1;
}

const char *digest_of_words(const char *words)
{
	static const char prefix[] = "sha256:";

	if (!words || strncmp(words, prefix, sizeof(prefix) - 1) || !digest_is_hex(words + sizeof(prefix) - 1))
		return NULL;
	return words + sizeof(prefix) - 1;
}
