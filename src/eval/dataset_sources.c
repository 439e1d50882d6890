/* SPDX-License-Identifier: Apache-2.0 */
/* Which examples are the same text, which come from one source, and what is held out. Sources are a
 * union-find over the examples. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "data/permutation.h"
#include "eval/dataset_reader.h"
#include "model/context.h"
#include "text/unicode.h"

/* ---- texts as they are compared ---- */

static bool is_end_mark(char c)
{
    return c == ' ' || (c && strchr(".,;:!?", c));
}

/* The text in lower case, white space as one blank, into `to`, with room for 2 bytes each of its
 * own and 4 more. Lower case takes at most one byte more than its letter. */
static sqz_text normalise(sqz_text text, char *to)
{
    size_t used = 0;
    for (size_t at = 0, length; at < text.n_bytes; at += length) {
        const uint32_t code = sqzi_utf8_next((const unsigned char *)text.bytes + at,
                                             text.n_bytes - at, &length);
        const uint8_t property = sqzi_unicode_property(code);
        if (property & SQZI_UNICODE_SPACE) {
            if (used && to[used - 1] != ' ') to[used++] = ' ';
        } else if (!(property & SQZI_UNICODE_DROP))
            used += sqzi_utf8_put(property & SQZI_UNICODE_LOWERS ? sqzi_unicode_lower(code) : code,
                                  (unsigned char *)to + used);
    }
    size_t begin = 0, end = used;
    while (end && is_end_mark(to[end - 1])) end--;
    while (begin < end && is_end_mark(to[begin])) begin++;
    if (begin < end) return (sqz_text){to + begin, end - begin};
    return (sqz_text){to, used};
}

static sqz_status normalised(sqzi_text_store *store, sqz_text text, sqz_text *made,
                             sqz_error *error)
{
    /* U+FFFD has three bytes for one that is ill-formed */
    char *to = sqzi_store_take(store, 3 * text.n_bytes + 4);
    if (!to) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory to compare texts");
    *made = normalise(text, to);
    return SQZ_OK;
}

/* ---- repeats ---- */

static bool same_label(const sqz_dataset *dataset, const sqz_example *a, const sqz_example *b)
{
    if (dataset->kind == SQZ_LABELS_ONE) return a->label == b->label;
    if (dataset->kind == SQZ_LABELS_VALUE) return a->value == b->value;
    return a->n_labels == b->n_labels &&
           (!a->n_labels || memcmp(a->labels, b->labels, a->n_labels * sizeof *a->labels) == 0);
}

/* Both texts of an example in one, the number of the first one's bytes before them. */
static sqz_status both_texts(sqzi_text_store *store, const sqz_example *e, sqz_text *both,
                             sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_text first, second = {NULL, 0};
    TRY(normalised(store, e->input.text, &first, error));
    if (e->input.pair) TRY(normalised(store, e->input.second, &second, error));
    char *to = sqzi_store_take(store, sizeof first.n_bytes + first.n_bytes + second.n_bytes);
    FAIL_IF(!to, SQZ_ENOMEM, 0, "no memory to compare texts");
    *both = (sqz_text){to, sizeof first.n_bytes + first.n_bytes + second.n_bytes};
    memcpy(to, &first.n_bytes, sizeof first.n_bytes);
    memcpy(to + sizeof first.n_bytes, first.bytes, first.n_bytes);
    if (second.n_bytes)
        memcpy(to + sizeof first.n_bytes + first.n_bytes, second.bytes, second.n_bytes);
fail:
    return status;
}

sqz_status sqz_dataset_repeats(sqz_dataset *dataset, const sqz_repeat **repeats, size_t *n_repeats,
                               sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_text_store store = {.allocator = dataset->allocator};
    sqzi_text_table table = {.allocator = dataset->allocator};
    sqzi_buffer first = {.allocator = dataset->allocator, .limit = SIZE_MAX}; /* of each text */
    size_t n;
    const sqz_example *examples = sqzi_dataset_all(dataset, &n);
    dataset->repeats.used = 0;
    for (uint32_t i = 0, number; i < n; i++) {
        sqz_text both;
        const uint32_t known = table.n;
        TRY(both_texts(&store, &examples[i], &both, error));
        TRY(sqzi_text_table_add(&table, both, &number, error));
        if (table.n > known) {
            TRY(sqzi_buffer_append(&first, &i, sizeof i, error));
            continue;
        }
        const uint32_t f = ((const uint32_t *)(const void *)first.data)[number];
        const sqz_repeat repeat = {.row = i,
                                   .first = f,
                                   .contradicts = dataset->labelled &&
                                                  !same_label(dataset, &examples[i], &examples[f])};
        TRY(sqzi_buffer_append(&dataset->repeats, &repeat, sizeof repeat, error));
    }
    *n_repeats = dataset->repeats.used / sizeof(sqz_repeat);
    *repeats = (const void *)dataset->repeats.data;
fail:
    sqzi_buffer_free(&first);
    sqzi_text_table_free(&table);
    sqzi_store_free(&store);
    return status;
}

/* The texts of all examples, as they are compared; numbers [n, texts] of them, or NULL. */
static sqz_status list_texts(const sqz_dataset *dataset, sqzi_text_store *store,
                             sqzi_text_table *table, uint32_t *numbers, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    size_t n;
    const sqz_example *examples = sqzi_dataset_all(dataset, &n);
    const uint32_t texts = sqzi_dataset_count_texts(dataset);
    for (size_t i = 0; i < n * texts; i++) {
        const sqz_example *e = &examples[i / texts];
        sqz_text text;
        uint32_t number;
        TRY(normalised(store, sqzi_dataset_text(e, (uint32_t)(i % texts)), &text, error));
        TRY(sqzi_text_table_add(table, text, &number, error));
        if (numbers) numbers[i] = number;
    }
fail:
    return status;
}

sqz_status sqzi_dataset_number_texts(const sqz_dataset *dataset, uint32_t *numbers,
                                     uint32_t *n_distinct, sqz_error *error)
{
    sqzi_text_store store = {.allocator = dataset->allocator};
    sqzi_text_table table = {.allocator = dataset->allocator};
    const sqz_status status = list_texts(dataset, &store, &table, numbers, error);
    *n_distinct = table.n;
    sqzi_text_table_free(&table);
    sqzi_store_free(&store);
    return status;
}

sqz_status sqzi_dataset_find_texts(const sqz_dataset *dataset, const sqz_text *texts, size_t n,
                                   bool *found, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_text_store store = {.allocator = dataset->allocator}, one = store;
    sqzi_text_table table = {.allocator = dataset->allocator};
    TRY(list_texts(dataset, &store, &table, NULL, error));
    for (size_t i = 0; i < n; i++) {
        sqz_text text;
        TRY(normalised(&one, texts[i], &text, error));
        if (sqzi_text_table_find(&table, text) != UINT32_MAX) found[i] = true;
        sqzi_store_forget(&one);
    }
fail:
    sqzi_text_table_free(&table);
    sqzi_store_free(&store);
    sqzi_store_free(&one);
    return status;
}

sqz_status sqzi_dataset_find_rows(const sqz_dataset *dataset, const sqz_dataset *of, bool *found,
                                  sqz_error *error)
{
    sqz_status status = SQZ_OK;
    size_t n[2];
    const sqz_example *const examples[] = {sqzi_dataset_all(dataset, &n[0]),
                                           sqzi_dataset_all(of, &n[1])};
    sqzi_text_store store = {.allocator = dataset->allocator};
    sqzi_text_table table = {.allocator = dataset->allocator};
    for (int s = 0; s < 2; s++)
        for (size_t i = 0; i < n[s]; i++) {
            sqz_text both;
            uint32_t number;
            TRY(both_texts(&store, &examples[s][i], &both, error));
            if (s) found[i] = sqzi_text_table_find(&table, both) != UINT32_MAX;
            else TRY(sqzi_text_table_add(&table, both, &number, error));
        }
fail:
    sqzi_text_table_free(&table);
    sqzi_store_free(&store);
    return status;
}

/* ---- sources ---- */

/* Everything a split needs, in one block.
 *
 *   parent   [n] of the union-find; a root is its own
 *   source   [n_sources] roots, shuffled
 *   begin    [n + 1] where each root's members begin in `member`
 *   count    [K] labels of each class, held of those held out, of_source of the source at hand
 */
typedef struct division {
    const sqz_dataset *dataset;
    const sqz_example *examples;
    uint32_t n, n_classes, n_sources, n_held;
    uint32_t *parent, *source, *begin, *member;
    uint32_t *count, *held, *of_source;
    bool *is_held; /* [n] */
} division;

static void lay_out(division *d, sqzi_arena *arena)
{
    d->parent = sqzi_arena_take(arena, d->n, sizeof *d->parent);
    d->source = sqzi_arena_take(arena, d->n, sizeof *d->source);
    d->begin = sqzi_arena_take(arena, (size_t)d->n + 1, sizeof *d->begin);
    d->member = sqzi_arena_take(arena, d->n, sizeof *d->member);
    d->count = sqzi_arena_take(arena, d->n_classes, sizeof *d->count);
    d->held = sqzi_arena_take(arena, d->n_classes, sizeof *d->held);
    d->of_source = sqzi_arena_take(arena, d->n_classes, sizeof *d->of_source);
    d->is_held = sqzi_arena_take(arena, d->n, sizeof *d->is_held);
}

static uint32_t root_of(uint32_t *parent, uint32_t i)
{
    while (parent[i] != i) i = parent[i] = parent[parent[i]];
    return i;
}

/* The earlier example is the root: sources do not depend on the order of unions. */
static void unite(uint32_t *parent, uint32_t a, uint32_t b)
{
    a = root_of(parent, a);
    b = root_of(parent, b);
    if (a < b) parent[b] = a;
    else parent[a] = b;
}

/* Example i and the first one with this text. */
static sqz_status link_text(division *d, sqzi_text_table *table, sqzi_buffer *first, sqz_text text,
                            uint32_t i, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    uint32_t number;
    const uint32_t known = table->n;
    TRY(sqzi_text_table_add(table, text, &number, error));
    if (table->n > known) TRY(sqzi_buffer_append(first, &i, sizeof i, error));
    else unite(d->parent, i, ((const uint32_t *)(const void *)first->data)[number]);
fail:
    return status;
}

static sqz_status link_all(division *d, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_allocator *allocator = d->dataset->allocator;
    sqzi_text_store store = {.allocator = allocator};
    sqzi_text_table texts = {.allocator = allocator}, cells = {.allocator = allocator};
    sqzi_buffer of_text = {.allocator = allocator, .limit = SIZE_MAX}, of_cell = of_text;
    for (uint32_t i = 0; i < d->n; i++) d->parent[i] = i;
    for (uint32_t i = 0; i < d->n; i++) {
        const sqz_example *e = &d->examples[i];
        for (int second = 0; second <= (e->input.pair != 0); second++) {
            sqz_text text;
            TRY(normalised(&store, second ? e->input.second : e->input.text, &text, error));
            TRY(link_text(d, &texts, &of_text, text, i, error));
        }
        if (e->source.n_bytes) TRY(link_text(d, &cells, &of_cell, e->source, i, error));
    }
fail:
    sqzi_buffer_free(&of_text);
    sqzi_buffer_free(&of_cell);
    sqzi_text_table_free(&texts);
    sqzi_text_table_free(&cells);
    sqzi_store_free(&store);
    return status;
}

/* Members by root, in order, and the list of roots. */
static void gather_sources(division *d)
{
    memset(d->begin, 0, ((size_t)d->n + 1) * sizeof *d->begin);
    for (uint32_t i = 0; i < d->n; i++) {
        const uint32_t root = root_of(d->parent, i);
        if (root == i) d->source[d->n_sources++] = i;
        d->begin[root + 1]++;
    }
    for (uint32_t i = 0; i < d->n; i++) d->begin[i + 1] += d->begin[i];
    for (uint32_t i = 0; i < d->n; i++) d->member[d->begin[root_of(d->parent, i)]++] = i;
    for (uint32_t i = d->n; i > 0; i--) d->begin[i] = d->begin[i - 1];
    d->begin[0] = 0;
}

/* Add `by` to `to` for every label of a source. */
static void count_labels(const division *d, uint32_t root, uint32_t *to)
{
    for (uint32_t m = d->begin[root]; m < d->begin[root + 1]; m++) {
        const sqz_example *e = &d->examples[d->member[m]];
        if (d->dataset->kind == SQZ_LABELS_ONE && d->dataset->labelled) to[e->label]++;
        for (uint32_t k = 0; k < e->n_labels && d->dataset->labelled; k++) to[e->labels[k]]++;
    }
}

/* ---- what is held out ---- */

/* May the source at hand go? By shares: no class gets more than its own; and one always stays. */
static bool may_go(const division *d, double share, bool by_class)
{
    for (uint32_t k = 0; k < d->n_classes; k++) {
        const uint32_t held = d->held[k] + d->of_source[k];
        if (!d->of_source[k]) continue;
        if (held >= d->count[k] || (by_class && held > share * d->count[k])) return false;
    }
    return true;
}

static void hold_out(division *d, double share, bool by_class)
{
    const double target = floor(share * d->n + 0.5);
    for (uint32_t s = 0; s < d->n_sources; s++) {
        const uint32_t root = d->source[s], size = d->begin[root + 1] - d->begin[root];
        if (d->is_held[root] || d->n_held + (double)size > target || size == d->n) continue;
        if (d->n_classes) memset(d->of_source, 0, d->n_classes * sizeof *d->of_source);
        count_labels(d, root, d->of_source);
        if (!may_go(d, share, by_class)) continue;
        count_labels(d, root, d->held);
        for (uint32_t m = d->begin[root]; m < d->begin[root + 1]; m++)
            d->is_held[d->member[m]] = true;
        d->n_held += size;
    }
}

static sqz_status divide(division *d, double share, uint64_t seed, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    memset(d->is_held, 0, d->n * sizeof *d->is_held);
    if (d->n_classes) memset(d->count, 0, d->n_classes * sizeof *d->count);
    if (d->n_classes) memset(d->held, 0, d->n_classes * sizeof *d->held);
    TRY(link_all(d, error));
    gather_sources(d);
    for (uint32_t s = 0; s < d->n_sources; s++) count_labels(d, d->source[s], d->count);
    sqzi_permute(d->source, d->n_sources, seed, SQZI_CHANCE_SOURCES, 0);
    if (d->n_classes) hold_out(d, share, true);
    hold_out(d, share, false);
    FAIL_IF(!d->n_held, SQZ_EFORMAT, 0,
            "%s: nothing can be held out of %u examples from %u sources: each source is more than "
            "the share, or the only one of a class; a larger share, or a file of its own to "
            "measure on",
            d->dataset->name, d->n, d->n_sources);
fail:
    return status;
}

sqz_status sqz_dataset_split(sqz_dataset *dataset, double share, uint64_t seed, uint32_t *rows,
                             size_t *n_train, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    size_t n;
    void *block = NULL;
    division d = {.dataset = dataset, .examples = sqzi_dataset_all(dataset, &n)};
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    d.n = (uint32_t)n;
    d.n_classes = dataset->classes.n;
    lay_out(&d, &arena);
    const size_t bytes = arena.used;
    FAIL_IF(!(share > 0 && share < 1), SQZ_EINVAL, 0,
            "the share that is held out is above 0 and below 1");
    block = sqzi_allocate(dataset->allocator, bytes);
    FAIL_IF(!block, SQZ_ENOMEM, 0, "%s: no memory to part %zu examples", dataset->name, n);
    arena = sqzi_arena_over(block, bytes);
    lay_out(&d, &arena);
    TRY(divide(&d, share, seed, error));
    size_t used = 0;
    for (int held = 0; held <= 1; held++)
        for (uint32_t i = 0; i < d.n; i++)
            if (d.is_held[i] == held) rows[used++] = i;
    *n_train = n - d.n_held;
fail:
    if (block) sqzi_release(dataset->allocator, block, bytes);
    return status;
}

sqz_status sqzi_dataset_find_sources(const sqz_dataset *dataset, uint32_t *sources,
                                     sqz_error *error)
{
    size_t n;
    division d = {.dataset = dataset, .examples = sqzi_dataset_all(dataset, &n), .parent = sources};
    d.n = (uint32_t)n;
    const sqz_status status = link_all(&d, error);
    for (uint32_t i = 0; status == SQZ_OK && i < d.n; i++) sources[i] = root_of(sources, i);
    return status;
}
