/* SPDX-License-Identifier: Apache-2.0 */
/* Examples and their order for a trainer. The order of the epoch at hand is kept, and made again
 * from the seed when another one is asked for. */
#include <squeezebert/batches.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "data/permutation.h"
#include "eval/dataset_reader.h"
#include "train/batches_check.h"
#include "train/distinct.h"
#include "train/replay.h"

enum { CHUNK_BATCHES = 50 };

struct sqz_batches {
    const sqz_dataset *dataset;
    uint32_t batch, n_classes;
    uint64_t seed;
    int64_t epoch; /* of the order; -1: none yet */
    sqz_train_data data;
    sqzi_replay replay;
    size_t bytes; /* of this block */
    sqz_train_example *examples, *teachers; /* the latter where a teacher reads other pieces */
    const char **labels;
    float *values;      /* [n, K] of several labels, [n] numbers */
    uint64_t *counts;   /* [n_classes] */
    uint32_t *order;    /* [n] rows of the epoch, batch after batch as they were cut */
    uint32_t *begin;    /* [n_batches + 1] where each begins there */
    uint32_t *shuffled; /* [n_batches] which of these comes i-th */
    bool is_distinct;
    sqzi_distinct distinct;
    sqzi_buffer numbers; /* of the distinct texts: [n, texts], then stamps and rows that wait */
    uint64_t *chunk;     /* [CHUNK_BATCHES * batch, n at most] pieces and place of each row */
};

static uint32_t chunk_rows(const sqz_batches *b)
{
    const uint64_t rows = (uint64_t)b->batch * CHUNK_BATCHES;
    return rows < b->data.n_examples ? (uint32_t)rows : b->data.n_examples;
}

static void lay_out(sqz_batches *b, sqzi_arena *arena)
{
    const uint32_t n = b->data.n_examples;
    const bool several = b->dataset->kind == SQZ_LABELS_MANY && b->dataset->labelled;
    (void)sqzi_arena_take(arena, 1, sizeof *b);
    b->examples = sqzi_arena_take(arena, n, b->data.texts * sizeof *b->examples);
    b->teachers = sqzi_arena_take(arena, b->dataset->teachers.ranges.used ? n : 0,
                                  sizeof *b->teachers);
    b->labels = sqzi_arena_take(arena, b->data.n_labels, sizeof *b->labels);
    b->values = sqzi_arena_take(arena,
                                several                                ? n
                                : b->dataset->kind == SQZ_LABELS_VALUE ? n
                                                                       : 0,
                                (several ? b->n_classes : 1) * sizeof *b->values);
    b->counts = sqzi_arena_take(arena, b->n_classes, sizeof *b->counts);
    b->order = sqzi_arena_take(arena, n, sizeof *b->order);
    b->begin = sqzi_arena_take(arena, (size_t)b->data.n_batches + 1, sizeof *b->begin);
    b->shuffled = sqzi_arena_take(arena, b->data.n_batches, sizeof *b->shuffled);
    b->chunk = sqzi_arena_take(arena, chunk_rows(b), sizeof *b->chunk);
}

/* ---- order ---- */

static int by_size(const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* Pieces of all texts of a row. */
static uint64_t size_of(const sqz_batches *b, uint32_t row)
{
    uint64_t n = 0;
    for (uint32_t t = 0; t < b->data.texts; t++)
        n += b->examples[(size_t)row * b->data.texts + t].n_tokens;
    return n < UINT32_MAX ? n : UINT32_MAX;
}

/* Rows [n] by their pieces; `chunk` also holds where each stood, so that equal ones stay. */
static void sort_chunk(sqz_batches *b, uint32_t *rows, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) b->chunk[i] = size_of(b, rows[i]) << 32 | i;
    qsort(b->chunk, n, sizeof *b->chunk, by_size);
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t from = (uint32_t)b->chunk[i];
        b->chunk[i] = rows[from];
    }
    for (uint32_t i = 0; i < n; i++) rows[i] = (uint32_t)b->chunk[i];
}

static void draw(sqz_batches *b, uint32_t epoch)
{
    const uint32_t n = b->data.n_examples, step = chunk_rows(b);
    for (uint32_t i = 0; i < n; i++) b->order[i] = i;
    sqzi_permute(b->order, n, b->seed, SQZI_CHANCE_ROWS, epoch);
    for (uint32_t begin = 0; begin < n; begin += step)
        sort_chunk(b, b->order + begin, n - begin < step ? n - begin : step);
    if (b->is_distinct)
        sqzi_distinct_fill(&b->distinct, b->order, n, b->batch, b->begin, b->data.n_batches);
    for (uint32_t i = 0; i < b->data.n_batches; i++) {
        b->shuffled[i] = i;
        if (!b->is_distinct) b->begin[i] = i * b->batch;
    }
    if (!b->is_distinct) b->begin[b->data.n_batches] = n;
    sqzi_permute(b->shuffled, b->data.n_batches, b->seed, SQZI_CHANCE_BATCHES, epoch);
    b->epoch = epoch;
}

static sqz_status give_batch(void *user, uint32_t epoch, uint32_t i, const uint32_t **rows,
                             uint32_t *n, sqz_error *error)
{
    sqz_batches *b = user;
    if (i >= b->data.n_batches)
        return sqzi_fail(error, SQZ_EINVAL, i, "batch %u of %u in an epoch", i, b->data.n_batches);
    const uint64_t number = (uint64_t)epoch * b->data.n_batches + i;
    if (number < b->replay.n_batches) {
        *rows = b->replay.rows + b->replay.begin[number];
        *n = (uint32_t)(b->replay.begin[number + 1] - b->replay.begin[number]);
        return SQZ_OK;
    }
    if (b->epoch != epoch) draw(b, epoch);
    const uint32_t *begin = b->begin + b->shuffled[i];
    *rows = b->order + begin[0];
    *n = begin[1] - begin[0];
    return SQZ_OK;
}

/* ---- examples ---- */

static void put_values(sqz_batches *b, uint32_t i, const sqz_example *e)
{
    if (b->dataset->kind == SQZ_LABELS_VALUE) {
        b->values[i] = (float)e->value;
        b->examples[(size_t)i * b->data.texts].values = b->values + i;
    }
    if (b->dataset->kind != SQZ_LABELS_MANY) return;
    float *values = b->values + (size_t)i * b->n_classes;
    if (b->n_classes) memset(values, 0, b->n_classes * sizeof *values);
    for (uint32_t k = 0; k < e->n_labels; k++) values[e->labels[k]] = 1;
    b->examples[i].values = values;
}

static void count(sqz_batches *b, const sqz_example *e, const sqz_example_pieces *pieces)
{
    if (b->dataset->kind == SQZ_LABELS_ONE) b->counts[e->label]++;
    if (b->dataset->kind == SQZ_LABELS_MANY)
        for (uint32_t k = 0; k < e->n_labels; k++) b->counts[e->labels[k]]++;
    for (uint32_t p = 0; pieces->labels && p < pieces->n; p++)
        if (pieces->labels[p] >= 0) b->counts[pieces->labels[p]]++;
}

/* Texts without labels, behind the rows. */
typedef struct added {
    const sqz_dataset *texts; /* NULL: there are none */
    const uint32_t *rows;     /* [n], or NULL: all */
    size_t n;
} added;

static void put_teachers(sqz_batches *b, const sqz_dataset *from, uint32_t row, size_t i)
{
    if (!b->dataset->teachers.ranges.used) return;
    const sqz_example_pieces pieces = sqz_dataset_teacher_pieces(from, row);
    b->teachers[i] =
        (sqz_train_example){.n_tokens = pieces.n, .ids = pieces.ids, .types = pieces.types};
    b->examples[i].teachers = &b->teachers[i];
}

static void put_texts(sqz_batches *b, const added *a)
{
    const size_t first = b->data.n_examples - a->n;
    for (uint32_t i = 0; i < a->n; i++) {
        const uint32_t row = a->rows ? a->rows[i] : i;
        const sqz_example_pieces pieces = sqz_dataset_pieces(a->texts, row);
        b->examples[first + i] = (sqz_train_example){
            .n_tokens = pieces.n, .ids = pieces.ids, .types = pieces.types, .unlabelled = 1};
        put_teachers(b, a->texts, row, first + i);
    }
}

static sqz_status put_examples(sqz_batches *b, const sqz_batches_options *o, uint32_t n_rows,
                               sqz_error *error)
{
    sqz_status status = SQZ_OK;
    size_t n_all;
    const sqz_example *all = sqzi_dataset_all(b->dataset, &n_all);
    if (b->n_classes) memset(b->counts, 0, b->n_classes * sizeof *b->counts);
    for (uint32_t i = 0; i < n_rows; i++) {
        const uint32_t row = o->rows ? o->rows[i] : i;
        FAIL_IF(row >= n_all, SQZ_EINVAL, i, "row %u of %zu examples", row, n_all);
        const uint32_t texts = b->data.texts;
        sqz_example_pieces pieces = {0};
        for (uint32_t t = 0; t < texts; t++) {
            pieces = sqz_dataset_pieces(b->dataset, (size_t)row * texts + t);
            b->examples[(size_t)i * texts + t] = (sqz_train_example){.n_tokens = pieces.n,
                                                                     .label = all[row].label,
                                                                     .ids = pieces.ids,
                                                                     .types = pieces.types,
                                                                     .token_labels = pieces.labels,
                                                                     .skip = pieces.skip};
        }
        put_teachers(b, b->dataset, row, i);
        if (!b->dataset->labelled) continue;
        put_values(b, i, &all[row]);
        count(b, &all[row], &pieces);
    }
    for (uint32_t k = 0; b->dataset->labelled && k < b->n_classes; k++)
        FAIL_IF(!b->counts[k], SQZ_EINVAL, k,
                "%s: the class '%.60s' has no example to train on: leave it out of the classes, or "
                "add rows of it",
                b->dataset->name, sqz_dataset_class(b->dataset, k));
    for (uint32_t k = 0; k < b->data.n_labels; k++)
        b->labels[k] = b->n_classes ? sqz_dataset_class(b->dataset, k) : b->dataset->label_name;
fail:
    return status;
}

/* An example whose negative is one of its other texts would be pushed away from itself. */
static sqz_status check_texts(const sqz_batches *b, uint32_t n, const uint32_t *rows,
                              sqz_error *error)
{
    size_t n_all;
    const sqz_example *all = sqzi_dataset_all(b->dataset, &n_all);
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t *numbers = b->distinct.numbers + (size_t)i * b->distinct.texts;
        for (uint32_t t = 2; t < b->distinct.texts; t++)
            if (numbers[t] == numbers[0] || numbers[t] == numbers[1]) {
                const unsigned long long line = all[rows ? rows[i] : i].line;
                return sqzi_fail(error, SQZ_EFORMAT, line,
                                 "%s: line %llu: negative %u is the same text as the %s: leave the "
                                 "row out",
                                 b->dataset->name, line, t - 1,
                                 numbers[t] == numbers[0] ? "text" : "text2");
            }
    }
    return SQZ_OK;
}

/* Number the texts of the rows, and count batches: as many as the most frequent text needs. */
static sqz_status find_distinct(sqz_batches *b, const sqz_batches_options *o, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    size_t n_all, bytes;
    (void)sqzi_dataset_all(b->dataset, &n_all);
    const uint32_t n = b->data.n_examples, texts = b->data.texts;
    const size_t most = n_all + n; /* stamps are no more than texts */
    FAIL_IF(!sqzi_multiply(most, 2 * texts * sizeof(uint32_t), &bytes), SQZ_ENOMEM, 0,
            "%s: no memory for its texts", b->dataset->name);
    TRY(sqzi_buffer_reserve(&b->numbers, bytes, error));
    uint32_t *numbers = (void *)b->numbers.data;
    TRY(sqzi_dataset_number_texts(b->dataset, numbers, &b->distinct.n_distinct, error));
    b->distinct.texts = texts;
    b->distinct.stamp = numbers + n_all * texts;
    b->distinct.waiting = b->distinct.stamp + b->distinct.n_distinct;
    for (uint32_t i = 0; i < n && o->rows; i++) {
        FAIL_IF(o->rows[i] >= n_all || (i && o->rows[i] <= o->rows[i - 1]), SQZ_EINVAL, i,
                "row %u: of distinct texts, rows rise and are examples", o->rows[i]);
        memmove(numbers + (size_t)i * texts, numbers + (size_t)o->rows[i] * texts,
                texts * sizeof *numbers);
    }
    b->distinct.numbers = numbers;
    TRY(check_texts(b, n, o->rows, error));
    const uint32_t frequent = sqzi_distinct_most(&b->distinct, n);
    if (frequent > b->data.n_batches) b->data.n_batches = frequent;
fail:
    return status;
}

static sqz_status open_rows(const sqz_dataset *dataset, const sqz_batches_options *options,
                            size_t n_rows, const added *more, sqz_batches **out, sqz_error *error)
{
    const size_t n = n_rows + more->n;
    sqz_status status = SQZ_OK;
    sqz_batches *b = NULL;
    sqz_batches sizes = {.dataset = dataset,
                         .batch = options->batch,
                         .n_classes = dataset->classes.n,
                         .seed = options->seed,
                         .epoch = -1,
                         .is_distinct = options->distinct != 0,
                         .numbers = {.allocator = dataset->allocator, .limit = SIZE_MAX},
                         .replay = {.allocator = dataset->allocator}};
    sizes.data.n_examples = (uint32_t)n;
    sizes.data.texts = dataset->texts ? dataset->texts : 1;
    sizes.data.n_labels = !dataset->labelled || dataset->texts ? 0
                          : sizes.n_classes                    ? sizes.n_classes
                                                               : 1;
    sizes.data.n_batches = (uint32_t)((n + options->batch - 1) / options->batch);
    if (sizes.is_distinct) status = find_distinct(&sizes, options, error);
    if (status != SQZ_OK) {
        sqzi_buffer_free(&sizes.numbers);
        return status;
    }
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(&sizes, &arena);
    sizes.bytes = arena.used;
    b = sqzi_allocate(dataset->allocator, sizes.bytes);
    if (!b) {
        sqzi_buffer_free(&sizes.numbers);
        return sqzi_fail(error, SQZ_ENOMEM, 0, "%s: no memory for %zu examples", dataset->name, n);
    }
    arena = sqzi_arena_over(b, sizes.bytes);
    lay_out(&sizes, &arena);
    *b = sizes;
    b->data.examples = b->examples;
    b->data.labels = b->labels;
    b->data.task = dataset->task;
    b->data.batch = give_batch;
    b->data.user = b;
    TRY(put_examples(b, options, (uint32_t)n_rows, error));
    put_texts(b, more);
    if (options->replay)
        TRY(sqzi_replay_read(&b->replay, options->replay, b->data.n_examples, error));
    *out = b;
    return SQZ_OK;
fail:
    sqz_batches_close(b);
    return status;
}

/* The first rows [*n], by chance, that have so many pieces. */
static void choose_rows(const sqz_dataset *dataset, const sqz_batches_options *o, uint32_t *rows,
                        size_t *n)
{
    uint64_t pieces = 0;
    size_t taken = 0;
    for (uint32_t i = 0; i < *n; i++) rows[i] = o->rows && !o->texts ? o->rows[i] : i;
    sqzi_permute(rows, (uint32_t)*n, o->seed, SQZI_CHANCE_PIECES, 0);
    while (taken < *n && pieces < o->most_pieces)
        pieces += sqz_dataset_pieces(dataset, rows[taken++]).n;
    *n = taken;
}

sqz_status sqz_batches_open(const sqz_dataset *dataset, const sqz_batches_options *options,
                            sqz_batches **out, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    size_t n, n_chosen = 0;
    uint32_t *chosen = NULL;
    if (!dataset || !options || !out)
        return sqzi_fail(error, SQZ_EINVAL, 0, "sqz_batches_open: an argument is NULL");
    *out = NULL;
    (void)sqzi_dataset_all(dataset, &n);
    if (options->rows) n = options->n_rows;
    TRY(sqzi_batches_check(dataset, options, n, error));
    sqz_batches_options own = *options;
    added more = {.texts = own.texts};
    if (own.texts) (void)sqzi_dataset_all(own.texts, &more.n);
    if (own.most_pieces) {
        n_chosen = own.texts ? more.n : n;
        chosen = sqzi_allocate(dataset->allocator, n_chosen * sizeof *chosen);
        FAIL_IF(!chosen, SQZ_ENOMEM, 0, "%s: no memory to choose rows", dataset->name);
        choose_rows(own.texts ? own.texts : dataset, options, chosen, own.texts ? &more.n : &n);
        *(own.texts ? &more.rows : &own.rows) = chosen;
    }
    TRY(open_rows(dataset, &own, n, &more, out, error));
fail:
    sqzi_release(dataset->allocator, chosen, n_chosen * sizeof *chosen);
    return status;
}

void sqz_batches_close(sqz_batches *batches)
{
    if (!batches) return;
    sqzi_replay_free(&batches->replay);
    sqzi_buffer_free(&batches->numbers);
    sqzi_release(batches->dataset->allocator, batches, batches->bytes);
}

const sqz_train_data *sqz_batches_data(const sqz_batches *batches)
{
    return &batches->data;
}

uint32_t sqz_batches_left_out(sqz_batches *batches, uint32_t epoch)
{
    if (batches->epoch != epoch) draw(batches, epoch);
    return batches->data.n_examples - batches->begin[batches->data.n_batches];
}

uint64_t sqz_batches_replayed(const sqz_batches *batches)
{
    return batches->replay.n_batches;
}

const uint64_t *sqz_batches_counts(const sqz_batches *batches)
{
    return batches->counts;
}
