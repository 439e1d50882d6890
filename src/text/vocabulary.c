/* SPDX-License-Identifier: Apache-2.0 */
/* Building the vocabulary's table: open addressing, at most half full. */
#include "text/vocabulary.h"

#include "base/error.h"

uint64_t sqzi_vocabulary_hash(const void *bytes, size_t n)
{
    const unsigned char *b = bytes;
    uint64_t hash = 0;
    for (size_t i = 0; i < n; i++) hash = hash * SQZI_HASH_P + b[i] + 1;
    return hash;
}

/* Spellings made to share a slot would cost their number squared; by chance none of 2^24 is this
 * far from its place. */
enum { FAR = 1024 };

/* NULL, or what is wrong with the piece. */
static const char *insert(sqzi_vocabulary *vocabulary, uint32_t id, uint32_t continuation)
{
    const sqzi_span piece = sqzi_vocabulary_piece(vocabulary, id);
    const uint32_t skip = continuation ? vocabulary->prefix_bytes : 0;
    const uint64_t hash = sqzi_vocabulary_hash(piece.bytes + skip, piece.n - skip),
                   mixed = sqzi_vocabulary_mix(hash, continuation);
    if (sqzi_vocabulary_find(vocabulary, piece.bytes + skip, piece.n - skip, hash, continuation) !=
        UINT32_MAX)
        return "comes twice";
    uint64_t i = mixed;
    while (vocabulary->slots[i & vocabulary->mask].id != UINT32_MAX) i++;
    if (i - mixed > FAR) return "is one of a thousand made to collide";
    vocabulary->slots[i & vocabulary->mask] = (sqzi_vocabulary_slot){(uint32_t)(mixed >> 32), id};
    if (piece.n - skip > vocabulary->longest[continuation])
        vocabulary->longest[continuation] = (uint32_t)(piece.n - skip);
    return NULL;
}

static void copy_pieces(sqzi_vocabulary *vocabulary, const sqzi_span *pieces, sqzi_span prefix)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < vocabulary->n; i++) {
        vocabulary->starts[i] = at;
        if (pieces[i].n) memcpy(vocabulary->bytes + at, pieces[i].bytes, pieces[i].n);
        at += (uint32_t)pieces[i].n;
        vocabulary->bytes[at++] = '\0';
    }
    vocabulary->starts[vocabulary->n] = at;
    vocabulary->prefix = vocabulary->bytes + at;
    if (prefix.n) memcpy(vocabulary->bytes + at, prefix.bytes, prefix.n);
}

sqz_status sqzi_vocabulary_open(const sqz_allocator *allocator, const sqzi_span *pieces, uint32_t n,
                                const bool *apart, sqzi_span prefix, sqzi_vocabulary *vocabulary,
                                sqz_error *error)
{
    sqz_status status = SQZ_OK;
    uint64_t bytes = prefix.n, slots = 16;
    for (uint32_t i = 0; i < n; i++) bytes += pieces[i].n + 1;
    while (slots < 4 * (uint64_t)n) slots *= 2;
    *vocabulary = (sqzi_vocabulary){
        .n = n, .mask = slots - 1, .prefix_bytes = (uint32_t)prefix.n, .n_bytes = (size_t)bytes};
    FAIL_IF(bytes >= UINT32_C(1) << 31 || n > 1 << 24, SQZ_ELIMIT, 0,
            "a vocabulary of %u pieces in %llu bytes: at most 2^24 in 2^31 are allowed", n,
            (unsigned long long)bytes);
    vocabulary->bytes = sqzi_allocate(allocator, vocabulary->n_bytes);
    vocabulary->starts = sqzi_allocate(allocator, (n + (size_t)1) * sizeof *vocabulary->starts);
    vocabulary->slots = sqzi_allocate(allocator, (size_t)slots * sizeof *vocabulary->slots);
    FAIL_IF(!vocabulary->bytes || !vocabulary->starts || !vocabulary->slots, SQZ_ENOMEM, 0,
            "no memory for a vocabulary of %u pieces", n);
    memset(vocabulary->slots, 0xFF, (size_t)slots * sizeof *vocabulary->slots);
    copy_pieces(vocabulary, pieces, prefix);
    for (uint32_t i = 0; i < n; i++) {
        if (pieces[i].n == 0 || (apart && apart[i])) continue;
        const bool continuation =
            pieces[i].n > prefix.n &&
            (prefix.n == 0 || memcmp(pieces[i].bytes, prefix.bytes, prefix.n) == 0);
        const char *fault = insert(vocabulary, i, 0);
        if (!fault && continuation) fault = insert(vocabulary, i, 1);
        FAIL_IF(fault, SQZ_EFORMAT, i, "the piece '%.*s' %s in the vocabulary, here as number %u",
                (int)(pieces[i].n > 60 ? 60 : pieces[i].n), pieces[i].bytes, fault, i);
    }
    for (uint32_t i = 0; apart && i < n; i++)
        FAIL_IF(apart[i] && sqzi_vocabulary_find(vocabulary, pieces[i].bytes, pieces[i].n,
                                                 sqzi_vocabulary_hash(pieces[i].bytes, pieces[i].n),
                                                 0) != UINT32_MAX,
                SQZ_EFORMAT, i,
                "the added token '%.*s', number %u, is spelt like a piece of the vocabulary",
                (int)(pieces[i].n > 60 ? 60 : pieces[i].n), pieces[i].bytes, i);
    return SQZ_OK;
fail:
    sqzi_vocabulary_close(allocator, vocabulary);
    return status;
}

void sqzi_vocabulary_close(const sqz_allocator *allocator, sqzi_vocabulary *vocabulary)
{
    sqzi_release(allocator, vocabulary->bytes, vocabulary->n_bytes);
    sqzi_release(allocator, vocabulary->starts,
                 (vocabulary->n + (size_t)1) * sizeof *vocabulary->starts);
    sqzi_release(allocator, vocabulary->slots,
                 (size_t)(vocabulary->mask + 1) * sizeof *vocabulary->slots);
    *vocabulary = (sqzi_vocabulary){0};
}
