/* SPDX-License-Identifier: Apache-2.0 */
/* The float model over sequences, one stage after the other, so that what its linears read is
 * seen by whoever asks: what costs memory for each linear (moments of its inputs, say) is then held
 * for one stage at a time.
 */
#ifndef SQZI_OBSERVE_H
#define SQZI_OBSERVE_H

#include "squeeze/sequences.h"

/* Functions may be NULL. Stage 0 is the embedding, 1 + i block i. */
typedef struct sqzi_observer {
    void *user;
    /* before the first row of a stage */
    void (*begin)(void *user, uint32_t stage);
    /* m rows of n_in numbers that a linear is about to read; each row of each sequence once, in
     * order */
    void (*rows)(void *user, const sqzi_linear *linear, size_t m, const sqzi_real *x, size_t ldx);
    /* all sequences have passed the stage; what is not SQZ_OK ends the run */
    sqz_status (*end)(void *user, uint32_t stage, sqz_error *error);
} sqzi_observer;

/* Stages of a model. */
uint32_t sqzi_observe_stages(const sqz_model *model);

/* Run all sequences through the encoder, [n] observers in their order. One thread. Memory: the
 * hidden states of all tokens, and a workspace for some. SQZ_ENOMEM; what an observer's end
 * returns. */
SQZ_NODISCARD sqz_status sqzi_observe(const sqz_model *model, const sqzi_sequences *sequences,
                                      const sqzi_observer *observers, uint32_t n, sqz_error *error);

#endif
