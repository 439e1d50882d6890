/* SPDX-License-Identifier: Apache-2.0 */
/* Small data to train tiny models on: random pieces, whose label is whether one of them is among
 * the first third of the vocabulary more often than not; batches in an order of their own each
 * epoch. */
#ifndef SQZT_TRAIN_DATA_H
#define SQZT_TRAIN_DATA_H

#include <string.h>

#include <squeezebert/session.h>
#include <squeezebert/train.h>

#include "support/random.h"
#include "support/test.h"
#include "support/tiny_model.h"

enum { SQZT_EXAMPLES = 30, SQZT_LONGEST = 9, SQZT_BATCH = 7, SQZT_BATCHES = 5, SQZT_CLASSES = 3 };

typedef struct sqzt_train_data {
    uint32_t ids[SQZT_EXAMPLES][SQZT_LONGEST];
    int32_t token_labels[SQZT_EXAMPLES][SQZT_LONGEST];
    uint8_t types[SQZT_EXAMPLES][SQZT_LONGEST];
    float values[SQZT_EXAMPLES][SQZT_CLASSES];
    sqz_train_example examples[SQZT_EXAMPLES];
    uint32_t rows[SQZT_BATCH];
    sqz_train_data data;
} sqzt_train_data;

static inline sqz_status sqzt_batch(void *user, uint32_t epoch, uint32_t i, const uint32_t **rows,
                                    uint32_t *n, sqz_error *error)
{
    sqzt_train_data *d = user;
    (void)error;
    *n = SQZT_EXAMPLES - i * SQZT_BATCH < SQZT_BATCH ? SQZT_EXAMPLES - i * SQZT_BATCH : SQZT_BATCH;
    for (uint32_t j = 0; j < *n; j++)
        d->rows[j] = ((i * SQZT_BATCH + j) * 7 + epoch * 11) % SQZT_EXAMPLES;
    *rows = d->rows;
    return SQZ_OK;
}

static inline void sqzt_train_data_make(sqzt_train_data *d, uint64_t seed)
{
    static const char *const labels[SQZT_CLASSES] = {"low", "middle", "high"};
    sqzt_random random = sqzt_random_of(seed);
    *d = (sqzt_train_data){0};
    for (uint32_t i = 0; i < SQZT_EXAMPLES; i++) {
        const uint32_t n = 1 + (uint32_t)sqzt_below(&random, SQZT_LONGEST),
                       label = i % SQZT_CLASSES;
        for (uint32_t t = 0; t < n; t++) {
            /* two pieces of three are of the class's third */
            const uint32_t third = sqzt_below(&random, 3) ? label
                                                          : (uint32_t)sqzt_below(&random, 3);
            d->ids[i][t] = third * (SQZT_TINY_VOCABULARY / 3) +
                           (uint32_t)sqzt_below(&random, SQZT_TINY_VOCABULARY / 3);
            d->types[i][t] = t > n / 2;
            d->token_labels[i][t] = sqzt_below(&random, 4) ? (int32_t)third : -1;
        }
        for (uint32_t k = 0; k < SQZT_CLASSES; k++) d->values[i][k] = k == label;
        d->examples[i] = (sqz_train_example){.n_tokens = n,
                                             .label = label,
                                             .ids = d->ids[i],
                                             .types = d->types[i],
                                             .values = d->values[i],
                                             .token_labels = d->token_labels[i]};
    }
    d->data = (sqz_train_data){.examples = d->examples,
                               .n_examples = SQZT_EXAMPLES,
                               .labels = labels,
                               .n_labels = SQZT_CLASSES,
                               .n_batches = SQZT_BATCHES,
                               .batch = sqzt_batch,
                               .user = d};
}

/* Logits of an example [SQZT_LONGEST, SQZT_CLASSES], those of a head of sequences in the first row.
 */
static inline void sqzt_logits_of(const sqz_model *model, const sqzt_train_data *d, uint32_t row,
                                  float *logits)
{
    sqz_error error = {0};
    sqz_session *session = NULL;
    const sqz_train_example *e = &d->examples[row];
    const uint32_t first[] = {0, e->n_tokens};
    const sqz_batch batch = {.n_sequences = 1, .first = first, .ids = e->ids, .types = e->types};
    sqzt_assert_ok(sqz_session_open(model,
                                    &(sqz_session_options){.max_tokens = SQZT_LONGEST,
                                                           .max_sequences = 1},
                                    &session, &error),
                   &error);
    memset(logits, 0, SQZT_LONGEST * SQZT_CLASSES * sizeof *logits);
    sqzt_assert_ok(sqz_logits(session, &batch, NULL, 0, logits, SQZT_CLASSES, &error), &error);
    sqz_session_close(session);
}

#endif
