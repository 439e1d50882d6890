/* SPDX-License-Identifier: Apache-2.0 */
/* Batches of random ids for a trainer, by the lengths of their sequences. */
#ifndef BENCH_STEP_DATA_H
#define BENCH_STEP_DATA_H

#include <squeezebert/train.h>

#include "micro/against_peak.h"

enum { MOST_LENGTH = 512, MOST_SEQUENCES = 4096 };

typedef struct batch {
    uint32_t n, longest, tokens;
    uint32_t lengths[MOST_SEQUENCES];
} batch;

static const batch mixed = {
    .n = 32, .longest = 49, .tokens = 743, .lengths = {12, 10, 24, 28, 13, 25, 15, 26, 40, 23, 39,
                                                       25, 26, 29, 26, 21, 44, 14, 21, 49, 17, 10,
                                                       20, 18, 35, 27, 19, 19, 13, 32, 13, 10}};

static bool add_length(batch *b, size_t length)
{
    if (b->n >= MOST_SEQUENCES || length < 1 || length > MOST_LENGTH) return false;
    b->lengths[b->n++] = (uint32_t)length;
    b->tokens += (uint32_t)length;
    if (length > b->longest) b->longest = (uint32_t)length;
    return true;
}

static bool read_lengths(const char *text, char between, batch *b)
{
    *b = (batch){0};
    for (char *end;; text = end + 1) {
        const size_t length = *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;
        if (!add_length(b, length)) return false;
        if (!*end || *end == '\n') return true;
        if (*end != between) return false;
    }
}

static bool read_batch(const char *text, batch *b)
{
    char *end;
    if (strcmp(text, "mixed") == 0) {
        *b = mixed;
        return true;
    }
    const size_t n = *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;
    if (n < 1 || *end != 'x') return read_lengths(text, ',', b);
    const size_t length = end[1] >= '0' && end[1] <= '9' ? strtoul(end + 1, &end, 10) : 0;
    *b = (batch){0};
    for (size_t i = 0; i < n; i++)
        if (*end || !add_length(b, length)) return false;
    return true;
}

/* An example a sequence, batch after batch. */
typedef struct data {
    sqz_train_data train;
    sqz_train_example *examples;
    uint32_t *rows;  /* 0, 1, 2, ... */
    uint32_t *first; /* [n_batches + 1] example that a batch begins with */
    uint32_t *ids;
} data;

static sqz_status next_batch(void *user, uint32_t epoch, uint32_t i, const uint32_t **rows,
                             uint32_t *n, sqz_error *error)
{
    const data *d = user;
    (void)epoch;
    (void)error;
    *rows = d->rows + d->first[i];
    *n = d->first[i + 1] - d->first[i];
    return SQZ_OK;
}

static data *make_data(const batch *batches, uint32_t n, uint32_t vocabulary)
{
    static const char *const labels[] = {"no", "yes"};
    size_t sequences = 0, tokens = 0;
    uint64_t random = 1;
    for (uint32_t i = 0; i < n; i++) sequences += batches[i].n, tokens += batches[i].tokens;
    data *d = take(1, sizeof *d);
    d->examples = take(sequences, sizeof *d->examples);
    d->rows = take(sequences, sizeof *d->rows);
    d->first = take(n + 1, sizeof *d->first);
    d->ids = take(tokens, sizeof *d->ids);
    for (size_t t = 0; t < tokens; t++)
        d->ids[t] = (uint32_t)((uniform(&random) + 1) / 2 * 0.999f * (float)vocabulary);
    uint32_t at = 0, *ids = d->ids;
    for (uint32_t i = 0; i < n; i++) {
        d->first[i] = at;
        for (uint32_t j = 0; j < batches[i].n; j++, at++) {
            d->rows[at] = at;
            d->examples[at] =
                (sqz_train_example){.n_tokens = batches[i].lengths[j], .label = at % 2, .ids = ids};
            ids += batches[i].lengths[j];
        }
    }
    d->first[n] = at;
    d->train = (sqz_train_data){.examples = d->examples,
                                .n_examples = at,
                                .labels = labels,
                                .n_labels = 2,
                                .n_batches = n,
                                .batch = next_batch,
                                .user = d};
    return d;
}

static void free_data(data *d)
{
    free(d->examples);
    free(d->rows);
    free(d->first);
    free(d->ids);
    free(d);
}

#endif
