/* SPDX-License-Identifier: Apache-2.0 */
/* Texts by number and numbers by text: a hash table of distinct texts, whose bytes are the caller's
 * and must stay. */
#ifndef SQZI_TEXT_TABLE_H
#define SQZI_TEXT_TABLE_H

#include <squeezebert/tokenizer.h>

#include "base/memory.h"

/* Zero-initialise and set the allocator. */
typedef struct sqzi_text_table {
    const sqz_allocator *allocator;
    sqz_text *texts; /* [n] by number */
    uint32_t n, capacity;
    uint32_t *slots; /* [n_slots], a power of two: number + 1, 0 where it is empty */
    size_t n_slots;
} sqzi_text_table;

/* The number of a text; UINT32_MAX: it is not there. */
uint32_t sqzi_text_table_find(const sqzi_text_table *table, sqz_text text);
/* The same, and it is added where it is not there, as number n. SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_text_table_add(sqzi_text_table *table, sqz_text text,
                                             uint32_t *number, sqz_error *error);
void sqzi_text_table_free(sqzi_text_table *table);

#endif
