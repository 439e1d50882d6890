/* SPDX-License-Identifier: Apache-2.0 */
/* The vocabulary: spelling to id by a hash that can be taken of any part of a word without reading
 * it again.
 *
 *   H(empty) = 0, H(w b) = H(w) · P + b + 1 (mod 2^64), so H(w[i..j)) = H(w[0..j)) - H(w[0..i)) ·
 *       P^(j-i)
 *
 * Every spelling is found as it stands, but for those left out of what is found; one that begins
 * with the continuation prefix is found by its rest as well.
 */
#ifndef SQZI_VOCABULARY_H
#define SQZI_VOCABULARY_H

#include "base/memory.h"
#include "base/span.h"

#define SQZI_HASH_P 0x9E3779B97F4A7C15u

typedef struct sqzi_vocabulary_slot {
    uint32_t tag, id; /* id UINT32_MAX: empty */
} sqzi_vocabulary_slot;

typedef struct sqzi_vocabulary {
    uint32_t n;
    char *bytes;                  /* spellings, each with a NUL */
    uint32_t *starts;             /* [n + 1] */
    sqzi_vocabulary_slot *slots;  /* [mask + 1] */
    uint64_t mask;
    const char *prefix;           /* of continuations, behind the spellings */
    uint32_t prefix_bytes;
    /* bytes of the longest spelling, and of the longest rest of a continuation */
    uint32_t longest[2];
    size_t n_bytes;
} sqzi_vocabulary;

/* apart: NULL, or by id whether the piece is left out of what is found (its spelling must still
 * differ from those that are). SQZ_EFORMAT: a spelling comes twice (error.offset: the second id).
 * SQZ_ELIMIT: over 2^31 bytes of spellings. SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_vocabulary_open(const sqz_allocator *allocator,
                                              const sqzi_span *pieces, uint32_t n,
                                              const bool *apart, sqzi_span prefix,
                                              sqzi_vocabulary *vocabulary, sqz_error *error);
void sqzi_vocabulary_close(const sqz_allocator *allocator, sqzi_vocabulary *vocabulary);

uint64_t sqzi_vocabulary_hash(const void *bytes, size_t n);

static inline sqzi_span sqzi_vocabulary_piece(const sqzi_vocabulary *vocabulary, uint32_t id)
{
    return (sqzi_span){vocabulary->bytes + vocabulary->starts[id],
                       vocabulary->starts[id + 1] - vocabulary->starts[id] - 1};
}

static inline uint64_t sqzi_vocabulary_mix(uint64_t hash, uint32_t continuation)
{
    hash = (hash ^ (continuation ? 0xD6E8FEB86659FD93u : 0)) * 0xFF51AFD7ED558CCDu;
    return hash ^ hash >> 32;
}

/* The id of the n bytes, as a continuation (1) or as they stand (0); UINT32_MAX when there is
 * none. */
static inline uint32_t sqzi_vocabulary_find(const sqzi_vocabulary *vocabulary, const void *bytes,
                                            size_t n, uint64_t hash, uint32_t continuation)
{
    const uint64_t mixed = sqzi_vocabulary_mix(hash, continuation);
    const uint32_t skip = continuation ? vocabulary->prefix_bytes : 0;
    for (uint64_t i = mixed;; i++) {
        const sqzi_vocabulary_slot *slot = &vocabulary->slots[i & vocabulary->mask];
        if (slot->id == UINT32_MAX) return UINT32_MAX;
        if (slot->tag != (uint32_t)(mixed >> 32)) continue;
        const sqzi_span piece = sqzi_vocabulary_piece(vocabulary, slot->id);
        if (piece.n == n + skip && memcmp(piece.bytes + skip, bytes, n) == 0) return slot->id;
    }
}

#endif
