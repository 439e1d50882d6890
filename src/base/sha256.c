/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 as FIPS 180-4 defines it, in its names. */
#include "base/sha256.h"

#include <string.h>

enum { BLOCK = 64, ROUNDS = 64, LENGTH_AT = 56 };

/* The first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t K[ROUNDS] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static inline uint32_t rotate(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static inline uint32_t load(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void schedule(const unsigned char *block, uint32_t w[ROUNDS])
{
    for (int t = 0; t < 16; t++) w[t] = load(block + 4 * t);
    for (int t = 16; t < ROUNDS; t++) {
        const uint32_t a = w[t - 15], b = w[t - 2];
        w[t] = w[t - 16] + w[t - 7] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) +
               (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
}

static void compress(uint32_t state[8], const unsigned char *block)
{
    uint32_t w[ROUNDS];
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5],
             g = state[6], h = state[7];
    schedule(block, w);
    for (int t = 0; t < ROUNDS; t++) {
        const uint32_t t1 = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) +
                            ((e & f) ^ (~e & g)) + K[t] + w[t],
                       t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) +
                            ((a & b) ^ (a & c) ^ (b & c));
        h = g;
        g = f;
        f = e;
        e = d + t1;
        d = c;
        c = b;
        b = a;
        a = t1 + t2;
    }
    const uint32_t add[8] = {a, b, c, d, e, f, g, h};
    for (int i = 0; i < 8; i++) state[i] += add[i];
}

void sqzi_sha256_init(sqzi_sha256 *hash)
{
    /* of the square roots of the first 8 primes */
    *hash = (sqzi_sha256){.state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
                                    0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

void sqzi_sha256_update(sqzi_sha256 *hash, const void *data, size_t bytes)
{
    const unsigned char *from = data;
    const size_t held = hash->bytes % BLOCK;
    if (bytes == 0) return;
    hash->bytes += bytes;
    if (held) {
        const size_t missing = BLOCK - held, n = bytes < missing ? bytes : missing;
        memcpy(hash->block + held, from, n);
        if (n < missing) return;
        compress(hash->state, hash->block);
        from += n;
        bytes -= n;
    }
    for (; bytes >= BLOCK; from += BLOCK, bytes -= BLOCK) compress(hash->state, from);
    memcpy(hash->block, from, bytes);
}

void sqzi_sha256_final(const sqzi_sha256 *hash, char hex[SQZI_SHA256_HEX])
{
    static const char digits[] = "0123456789abcdef";
    static const unsigned char padding[BLOCK] = {0x80};
    sqzi_sha256 end = *hash;
    unsigned char length[8];
    const size_t held = hash->bytes % BLOCK;
    for (int i = 0; i < 8; i++) length[i] = (unsigned char)(8 * hash->bytes >> (56 - 8 * i));
    sqzi_sha256_update(&end, padding, (held < LENGTH_AT ? LENGTH_AT : BLOCK + LENGTH_AT) - held);
    sqzi_sha256_update(&end, length, sizeof length);
    for (int i = 0; i < 64; i++) hex[i] = digits[end.state[i / 8] >> (28 - 4 * (i % 8)) & 15];
    hex[64] = '\0';
}
