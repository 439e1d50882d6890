/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of tables, by what read them: words by id, positions, types. */
#include "nn/table_grad.h"

#include <string.h>

enum {
    ROWS = 32,   /* of a table, a unit */
    COLUMNS = 64 /* summed together; of types, which are few, a unit */
};

uint32_t sqzi_sort_ids(const sqzi_batch *batch, uint32_t *counts, uint32_t *order, uint32_t *begin)
{
    const uint32_t n = batch->n_tokens, *ids = batch->ids;
    uint32_t distinct = 0, at = 0;
    for (uint32_t t = 0; t < n; t++) counts[ids[t]] = 0;
    for (uint32_t t = 0; t < n; t++) counts[ids[t]]++;
    /* an id's place is given out where it is first met; its count becomes where its next goes */
    for (uint32_t t = 0; t < n; t++) {
        const uint32_t id = ids[t];
        if (!(counts[id] >> 31)) {
            const uint32_t count = counts[id];
            begin[distinct++] = at;
            counts[id] = at | 1u << 31;
            at += count;
        }
        order[counts[id] & ~(1u << 31)] = t;
        counts[id]++;
    }
    begin[distinct] = n;
    return distinct;
}

void sqzi_row_list_layout(sqzi_row_list *list, uint32_t n_rows, uint32_t width, uint32_t most,
                          sqzi_arena *arena)
{
    *list = (sqzi_row_list){.most = most, .n_rows = n_rows, .width = width};
    list->places = sqzi_arena_take(arena, n_rows, sizeof *list->places);
    list->ids = sqzi_arena_take(arena, most, sizeof *list->ids);
    list->numbers = sqzi_arena_take(arena, (size_t)most * width, sizeof *list->numbers);
}

void sqzi_row_list_begin(sqzi_row_list *list)
{
    for (uint32_t id = 0; id < list->n_rows; id++) list->places[id] = SQZI_NO_ROW;
    list->n = 0;
}

void sqzi_row_list_clear(sqzi_row_list *list)
{
    while (list->n) list->places[list->ids[--list->n]] = SQZI_NO_ROW;
}

void sqzi_row_list_add(sqzi_row_list *list, const sqzi_batch *batch, uint32_t padding)
{
    for (uint32_t t = 0; t < batch->n_tokens; t++) {
        const uint32_t id = batch->ids[t];
        if (id == padding || list->places[id] != SQZI_NO_ROW) continue;
        memset(list->numbers + (size_t)list->n * list->width, 0,
               list->width * sizeof *list->numbers);
        list->places[id] = list->n;
        list->ids[list->n++] = id;
    }
}

/* The rows of some tokens added up. */
typedef struct row_sum {
    const sqzi_real *d;
    size_t ld;
    sqzi_range columns;
    sqzi_real *out; /* the row of the gradient */
    size_t rows;    /* in the chain */
    sqzi_real chain[COLUMNS], sum[COLUMNS];
} row_sum;

static row_sum begin_sum(const sqzi_real *d, size_t ld, sqzi_range columns, sqzi_real *out)
{
    return (row_sum){.d = d, .ld = ld, .columns = columns, .out = out};
}

static void close_chain(row_sum *s)
{
    const size_t n = s->columns.end - s->columns.begin;
    for (size_t j = 0; j < n; j++) s->sum[j] += s->chain[j];
    memset(s->chain, 0, sizeof s->chain);
    s->rows = 0;
}

static void add_token(row_sum *s, uint32_t token)
{
    const sqzi_real *x = s->d + token * s->ld + s->columns.begin;
    const size_t n = s->columns.end - s->columns.begin;
    for (size_t j = 0; j < n; j++) s->chain[j] += x[j];
    if (++s->rows == SQZI_GRAD_ROWS) close_chain(s);
}

static void end_sum(row_sum *s)
{
    const size_t n = s->columns.end - s->columns.begin;
    close_chain(s);
    for (size_t j = 0; j < n; j++) s->out[s->columns.begin + j] += s->sum[j];
}

static sqzi_range columns_from(size_t begin, size_t width)
{
    return (sqzi_range){begin, width - begin < COLUMNS ? width : begin + COLUMNS};
}

static void word_row(const sqzi_table_grad_args *a, uint32_t j)
{
    const size_t width = a->embedding->word.width;
    const uint32_t id = a->batch->ids[a->order[a->begin[j]]];
    if (id == a->padding) return;
    const sqzi_row_list *list = a->gradient->word_rows;
    sqzi_real *row = list ? list->numbers + (size_t)list->places[id] * width
                          : a->gradient->word + id * width;
    for (size_t c = 0; c < width; c += COLUMNS) {
        row_sum s = begin_sum(a->d_words, width, columns_from(c, width), row);
        for (uint32_t i = a->begin[j]; i < a->begin[j + 1]; i++) add_token(&s, a->order[i]);
        end_sum(&s);
    }
}

static void position_row(const sqzi_table_grad_args *a, uint32_t position)
{
    const size_t width = a->embedding->width;
    for (size_t c = 0; c < width; c += COLUMNS) {
        row_sum s = begin_sum(a->d_sum, width, columns_from(c, width),
                              a->gradient->position + position * width);
        for (uint32_t b = 0; b < a->batch->n_sequences; b++)
            if (a->batch->first[b] + position < a->batch->first[b + 1])
                add_token(&s, a->batch->first[b] + position);
        end_sum(&s);
    }
}

/* Some columns of a type's row. */
static void type_columns(const sqzi_table_grad_args *a, uint32_t type, sqzi_range columns)
{
    const size_t width = a->embedding->width;
    row_sum s = begin_sum(a->d_sum, width, columns, a->gradient->type + type * width);
    for (uint32_t t = 0; t < a->batch->n_tokens; t++)
        if ((a->batch->types ? a->batch->types[t] : 0) == type) add_token(&s, t);
    end_sum(&s);
}

static uint32_t units_of(size_t n, size_t each)
{
    return (uint32_t)((n + each - 1) / each);
}

typedef struct units {
    uint32_t words, positions, types; /* of types, of one row */
} units;

static units count_units(const sqzi_table_grad_args *a)
{
    const bool words = a->gradient->word || a->gradient->word_rows;
    return (units){words ? units_of(a->n_distinct, ROWS) : 0,
                   a->gradient->position ? units_of(a->batch->longest, ROWS) : 0,
                   a->gradient->type ? units_of(a->embedding->width, COLUMNS) : 0};
}

uint32_t sqzi_table_grad_units(const sqzi_table_grad_args *a)
{
    const units n = count_units(a);
    return n.words + n.positions + n.types * a->embedding->type.n_rows;
}

void sqzi_table_grad(const sqzi_table_grad_args *a, uint32_t unit)
{
    const units n = count_units(a);
    if (unit < n.words) {
        for (uint32_t j = unit * ROWS; j < a->n_distinct && j < (unit + 1) * ROWS; j++)
            word_row(a, j);
        return;
    }
    unit -= n.words;
    if (unit < n.positions) {
        for (uint32_t i = unit * ROWS; i < a->batch->longest && i < (unit + 1) * ROWS; i++)
            position_row(a, i);
        return;
    }
    unit -= n.positions;
    type_columns(a, unit / n.types,
                 columns_from((size_t)(unit % n.types) * COLUMNS, a->embedding->width));
}
