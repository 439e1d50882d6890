/* SPDX-License-Identifier: Apache-2.0 */
/* Open addressing, at most half full. */
#include "data/text_table.h"

#include <string.h>

#include "base/error.h"

enum { FIRST_CAPACITY = 64 };

/* FNV-1a, its bits mixed once more since the lower ones choose the slot. */
static uint64_t hash_of(sqz_text text)
{
    uint64_t hash = 0xCBF29CE484222325u;
    for (size_t i = 0; i < text.n_bytes; i++)
        hash = (hash ^ (unsigned char)text.bytes[i]) * 0x100000001B3u;
    return hash ^ (hash >> 32);
}

static bool same(sqz_text a, sqz_text b)
{
    return a.n_bytes == b.n_bytes && (!a.n_bytes || memcmp(a.bytes, b.bytes, a.n_bytes) == 0);
}

/* The slot where the text is, or the empty one where it would be. */
static size_t slot_of(const sqzi_text_table *table, sqz_text text)
{
    size_t at = (size_t)hash_of(text) & (table->n_slots - 1);
    while (table->slots[at] && !same(table->texts[table->slots[at] - 1], text))
        at = (at + 1) & (table->n_slots - 1);
    return at;
}

uint32_t sqzi_text_table_find(const sqzi_text_table *table, sqz_text text)
{
    if (!table->n) return UINT32_MAX;
    const uint32_t found = table->slots[slot_of(table, text)];
    return found ? found - 1 : UINT32_MAX;
}

/* Twice the room, and every text in its new slot. */
static sqz_status grow(sqzi_text_table *table, sqz_error *error)
{
    sqzi_text_table larger = {.allocator = table->allocator,
                              .n = table->n,
                              .capacity = table->capacity ? 2 * table->capacity : FIRST_CAPACITY};
    larger.n_slots = (size_t)larger.capacity * 2;
    larger.texts = sqzi_allocate_zeroed(table->allocator, larger.capacity, sizeof *larger.texts);
    larger.slots = sqzi_allocate_zeroed(table->allocator, larger.n_slots, sizeof *larger.slots);
    if (!larger.texts || !larger.slots || table->capacity > UINT32_MAX / 4) {
        sqzi_text_table_free(&larger);
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for %u texts", table->n);
    }
    for (uint32_t i = 0; i < table->n; i++) {
        larger.texts[i] = table->texts[i];
        larger.slots[slot_of(&larger, table->texts[i])] = i + 1;
    }
    sqzi_text_table_free(table);
    *table = larger;
    return SQZ_OK;
}

sqz_status sqzi_text_table_add(sqzi_text_table *table, sqz_text text, uint32_t *number,
                               sqz_error *error)
{
    if (table->n == table->capacity) {
        const sqz_status status = grow(table, error);
        if (status != SQZ_OK) return status;
    }
    const size_t at = slot_of(table, text);
    if (!table->slots[at]) {
        table->texts[table->n] = text;
        table->slots[at] = ++table->n;
    }
    *number = table->slots[at] - 1;
    return SQZ_OK;
}

void sqzi_text_table_free(sqzi_text_table *table)
{
    const sqz_allocator *allocator = table->allocator;
    if (table->texts) sqzi_release(allocator, table->texts, table->capacity * sizeof *table->texts);
    if (table->slots) sqzi_release(allocator, table->slots, table->n_slots * sizeof *table->slots);
    *table = (sqzi_text_table){.allocator = allocator};
}
