/* SPDX-License-Identifier: Apache-2.0 */
/* Telling different texts apart, in a table of their hashes, and dealing them out. */
#include "squeeze/text_split.h"

#include "base/error.h"

/* The next byte of a text with its white space taken together, none at its ends; -1 at the end. */
typedef struct reader {
    const char *at, *end;
    bool begun;
} reader;

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int next_byte(reader *r)
{
    bool spaces = false;
    while (r->at < r->end && is_space(*r->at)) {
        spaces = true;
        r->at++;
    }
    if (r->at == r->end) return -1;
    if (spaces && r->begun) {
        r->at--; /* one is left to be the space between */
        r->begun = false;
        return ' ';
    }
    r->begun = true;
    return (unsigned char)*r->at++;
}

static reader begin(const sqz_text *text)
{
    return (reader){text->bytes, text->bytes ? text->bytes + text->n_bytes : NULL, false};
}

/* FNV-1a. */
static uint64_t hash_of(const sqz_text *text)
{
    reader r = begin(text);
    uint64_t hash = 0xCBF29CE484222325u;
    for (int c = next_byte(&r); c >= 0; c = next_byte(&r))
        hash = (hash ^ (uint64_t)c) * 0x100000001B3u;
    return hash;
}

static bool are_equal(const sqz_text *a, const sqz_text *b)
{
    reader x = begin(a), y = begin(b);
    int c;
    do {
        c = next_byte(&x);
        if (c != next_byte(&y)) return false;
    } while (c >= 0);
    return true;
}

static bool is_empty(const sqz_text *text)
{
    reader r = begin(text);
    return next_byte(&r) < 0;
}

/* The different texts, those of the first of equal ones, in split->learn. */
static void find_different(const sqz_text *texts, size_t n, const sqz_text **table, size_t slots,
                           sqzi_text_split *split)
{
    for (size_t i = 0; i < n; i++) {
        size_t at = (size_t)hash_of(&texts[i]) & (slots - 1);
        if (is_empty(&texts[i])) continue;
        while (table[at] && !are_equal(table[at], &texts[i])) at = (at + 1) & (slots - 1);
        if (table[at]) continue;
        table[at] = &texts[i];
        split->learn[split->n_learn++] = texts[i];
    }
}

static void deal_out(sqzi_text_split *split)
{
    const size_t n = split->n_learn, least = n / SQZI_HELD_OUT_LEAST,
                 most = (n + SQZI_HELD_OUT_MOST - 1) / SQZI_HELD_OUT_MOST;
    size_t every = least < SQZI_HELD_OUT_EVERY ? least : SQZI_HELD_OUT_EVERY;
    if (every < most) every = most;
    split->n_learn = 0;
    for (size_t i = 0; i < n; i++) {
        if (i % every == every - 1) split->held_out[split->n_held_out++] = split->learn[i];
        else split->learn[split->n_learn++] = split->learn[i];
    }
}

static const sqz_text **lay_out(sqzi_text_split *split, size_t n, size_t slots, sqzi_arena *arena)
{
    split->learn = sqzi_arena_take(arena, n, sizeof *split->learn);
    split->held_out = sqzi_arena_take(arena, n, sizeof *split->held_out);
    return sqzi_arena_take(arena, slots, sizeof(sqz_text *));
}

sqz_status sqzi_text_split_make(const sqz_allocator *allocator, const sqz_text *texts, size_t n,
                                sqzi_text_split *split, sqz_error *error)
{
    size_t slots = 64;
    *split = (sqzi_text_split){.allocator = allocator};
    while (slots / 2 < n && slots <= SIZE_MAX / 2) slots *= 2;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    (void)lay_out(split, n, slots, &arena);
    split->bytes = arena.used;
    split->block = arena.used == SIZE_MAX ? NULL : sqzi_allocate_zeroed(allocator, split->bytes, 1);
    if (!split->block) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory to sort %zu texts", n);
    arena = sqzi_arena_over(split->block, split->bytes);
    find_different(texts, n, lay_out(split, n, slots, &arena), slots, split);
    if (split->n_learn < 2 * SQZI_HELD_OUT_LEAST)
        return sqzi_fail(error, SQZ_EFORMAT, 0,
                         "%zu different texts, at least %d are needed: the result is judged on "
                         "texts that are held out, %d or more",
                         split->n_learn, 2 * SQZI_HELD_OUT_LEAST, SQZI_HELD_OUT_LEAST);
    deal_out(split);
    return SQZ_OK;
}

void sqzi_text_split_discard(sqzi_text_split *split)
{
    if (split->block) sqzi_release(split->allocator, split->block, split->bytes);
    *split = (sqzi_text_split){0};
}
