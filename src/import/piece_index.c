/* SPDX-License-Identifier: Apache-2.0 */
#include "import/piece_index.h"

#include "base/error.h"
#include "text/vocabulary.h"

/* As in src/text/vocabulary.c: by chance no spelling is this far from its place. */
enum { FAR = 1024 };

sqz_status sqzi_piece_index_open(const sqz_allocator *allocator, uint32_t n,
                                 sqzi_piece_index *index, sqz_error *error)
{
    uint64_t slots = 16;
    while (slots < 2 * (uint64_t)n) slots *= 2;
    *index = (sqzi_piece_index){.allocator = allocator, .mask = slots - 1};
    index->slots = sqzi_allocate_zeroed(allocator, (size_t)slots, sizeof *index->slots);
    return index->slots ? SQZ_OK : sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for %u pieces", n);
}

void sqzi_piece_index_close(sqzi_piece_index *index)
{
    if (index->slots)
        sqzi_release(index->allocator, index->slots,
                     (size_t)(index->mask + 1) * sizeof *index->slots);
    *index = (sqzi_piece_index){0};
}

/* The spelling's slot, or the empty one where it belongs; NULL: too far away. */
static sqzi_piece_slot *find_slot(const sqzi_piece_index *index, sqzi_span text)
{
    const uint64_t first = sqzi_vocabulary_mix(sqzi_vocabulary_hash(text.bytes, text.n), 0);
    for (uint64_t i = first; i - first <= FAR; i++) {
        sqzi_piece_slot *slot = &index->slots[i & index->mask];
        if (!slot->text.bytes ||
            (slot->text.n == text.n &&
             (text.n == 0 || memcmp(slot->text.bytes, text.bytes, text.n) == 0)))
            return slot;
    }
    return NULL;
}

sqz_status sqzi_piece_index_put(sqzi_piece_index *index, sqzi_span text, uint32_t id,
                                uint32_t *before, sqz_error *error)
{
    sqzi_piece_slot *slot = index->n <= index->mask / 4 * 3 ? find_slot(index, text) : NULL;
    if (!slot)
        return sqzi_fail(error, SQZ_EFORMAT, id,
                         "the piece '%.60s' is one of a thousand made to collide", text.bytes);
    *before = slot->text.bytes ? slot->id : UINT32_MAX;
    if (!slot->text.bytes) index->n++;
    *slot = (sqzi_piece_slot){{text.bytes ? text.bytes : "", text.n}, id};
    return SQZ_OK;
}

uint32_t sqzi_piece_index_find(const sqzi_piece_index *index, sqzi_span text)
{
    const sqzi_piece_slot *slot = find_slot(index, text);
    return slot && slot->text.bytes ? slot->id : UINT32_MAX;
}
