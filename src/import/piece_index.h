/* SPDX-License-Identifier: Apache-2.0 */
/* Spelling to number, of which the last one put counts. Spellings belong to the caller. */
#ifndef SQZI_PIECE_INDEX_H
#define SQZI_PIECE_INDEX_H

#include "base/memory.h"
#include "base/span.h"

typedef struct sqzi_piece_slot {
    sqzi_span text; /* bytes NULL: empty */
    uint32_t id;
} sqzi_piece_slot;

typedef struct sqzi_piece_index {
    const sqz_allocator *allocator;
    sqzi_piece_slot *slots; /* [mask + 1] */
    uint64_t mask;
    uint32_t n;
} sqzi_piece_index;

/* Room for n spellings. SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_piece_index_open(const sqz_allocator *allocator, uint32_t n,
                                               sqzi_piece_index *index, sqz_error *error);
void sqzi_piece_index_close(sqzi_piece_index *index);
/* *before: the number that the spelling had, UINT32_MAX if none. SQZ_EFORMAT: spellings made to
 * collide. */
SQZ_NODISCARD sqz_status sqzi_piece_index_put(sqzi_piece_index *index, sqzi_span text, uint32_t id,
                                              uint32_t *before, sqz_error *error);
/* UINT32_MAX where there is none. */
uint32_t sqzi_piece_index_find(const sqzi_piece_index *index, sqzi_span text);

#endif
