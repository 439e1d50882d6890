/* SPDX-License-Identifier: Apache-2.0 */
/* Sequences of token ids that a model is observed on (observe.h): random ids, the same every time,
 * or texts. */
#ifndef SQZI_SEQUENCES_H
#define SQZI_SEQUENCES_H

#include <squeezebert/task.h>

#include "model/loader.h"

enum {
    SQZI_CALIBRATION_SEQUENCES = 32,
    SQZI_CALIBRATION_LENGTH = 64, /* of random ids */
    /* pieces of texts; the first ones that reach MOST are taken */
    SQZI_CALIBRATION_LEAST = 2048,
    SQZI_CALIBRATION_MOST = 16384,
    /* where inputs are removed or factorised: 20 rows for each of 1,536 */
    SQZI_STATISTICS_MOST = 32768
};

typedef struct sqzi_sequences {
    const sqz_allocator *allocator;
    sqzi_buffer ids, first; /* uint32_t [n_tokens], [n + 1] */
    uint32_t n, longest;
    uint32_t n_cut; /* texts longer than the model's maximum */
    bool texts;
} sqzi_sequences;

SQZ_NODISCARD sqz_status sqzi_sequences_random(const sqz_model *model, sqzi_sequences *sequences,
                                               sqz_error *error);

/* Texts without a piece of their own are left out. SQZ_EFORMAT where the others have too few;
 * SQZ_ENOMEM. Discard in any case. */
SQZ_NODISCARD sqz_status sqzi_sequences_of_texts(const sqz_model *model, const sqz_text *texts,
                                                 size_t n, sqzi_sequences *sequences,
                                                 sqz_error *error);
/* The same of the first texts that reach `most` pieces. */
SQZ_NODISCARD sqz_status sqzi_sequences_up_to(const sqz_model *model, const sqz_text *texts,
                                              size_t n, uint32_t most, sqzi_sequences *sequences,
                                              sqz_error *error);
/* Of the texts behind the first `used`; where these are too few, of all. As sqzi_sequences_up_to.
 */
SQZ_NODISCARD sqz_status sqzi_sequences_behind(const sqz_model *model, const sqz_text *texts,
                                               size_t n, size_t used, uint32_t most,
                                               sqzi_sequences *sequences, sqz_error *error);
void sqzi_sequences_discard(sqzi_sequences *sequences);
uint32_t sqzi_sequences_tokens(const sqzi_sequences *sequences);

#endif
