/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 (FIPS 180-4), for files that say what they hold: portable, some 250 MB a second.
 *
 *     sqzi_sha256 hash;
 *     char hex[SQZI_SHA256_HEX];
 *     sqzi_sha256_init(&hash);
 *     sqzi_sha256_update(&hash, data, bytes);       as often as there is more
 *     sqzi_sha256_final(&hash, hex);
 */
#ifndef SQZI_SHA256_H
#define SQZI_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { SQZI_SHA256_HEX = 65 }; /* 64 lower-case digits and a NUL */

typedef struct sqzi_sha256 {
    uint32_t state[8];
    uint64_t bytes;          /* seen so far */
    unsigned char block[64]; /* the last bytes % 64 of them */
} sqzi_sha256;

void sqzi_sha256_init(sqzi_sha256 *hash);
void sqzi_sha256_update(sqzi_sha256 *hash, const void *data, size_t bytes);
/* The digest of what was seen so far, in hexadecimal. The hash stays as it is: more may follow. */
void sqzi_sha256_final(const sqzi_sha256 *hash, char hex[SQZI_SHA256_HEX]);

#endif
