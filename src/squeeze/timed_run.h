/* SPDX-License-Identifier: Apache-2.0 */
/* How long models take, from token ids to logits, or to vectors where there is no head, beside one
 * of them.
 *
 * That one, the base, runs before each run of another, and what counts is the median of the two
 * times' quotients: whatever else the machine does, and whichever clock the CPU has, both of a pair
 * meet it. On two cores that sixteen programs shared the least times of 40 runs had quotients from
 * 0.600 to 0.654, the medians of pairs from 0.637 to 0.659.
 *
 * With one thread a time is that thread's own, so that what runs on its core meanwhile does not
 * count; with more it is the wall's.
 */
#ifndef SQZI_TIMED_RUN_H
#define SQZI_TIMED_RUN_H

#include <squeezebert/session.h>

/* A session and a batch of random tokens. The model outlives it. */
typedef struct sqzi_timed_run {
    const sqz_model *model;
    sqz_session *session;
    uint32_t n_sequences, length;
    uint32_t *first, *ids; /* [n_sequences + 1], [n_sequences * length] */
    float *out;
    size_t out_bytes;
} sqzi_timed_run;

/* Tokens of a sequence for a length that was asked for: 0 is 128, or as many as the model reads.
 * SQZ_EINVAL: it reads fewer; a batch of more than 2^20 tokens. */
SQZ_NODISCARD sqz_status sqzi_timed_shape(const sqz_model *model, uint32_t *n_sequences,
                                          uint32_t *length, sqz_error *error);

/* As sqz_session_open. Close in any case. */
SQZ_NODISCARD sqz_status sqzi_timed_run_open(const sqz_model *model, uint32_t n_sequences,
                                             uint32_t length, sqzi_timed_run *run,
                                             sqz_error *error);
void sqzi_timed_run_close(sqzi_timed_run *run);
/* Nanoseconds. What a run fails with. */
SQZ_NODISCARD sqz_status sqzi_timed_run_once(const sqzi_timed_run *run, uint64_t *ns,
                                             sqz_error *error);

/* ns[0] is the median of what `once` says of 0, ns[i] [n] that times the median quotient of i and
 * the 0 before it: of 9 to 200 rounds over all, until every median is known to half a hundredth
 * (its standard error, by the quartiles), or all runs together took limit_ns, and then at least
 * 3. What once fails with; SQZ_ENOMEM. */
typedef sqz_status sqzi_timed_once(void *user, uint32_t i, uint64_t *ns, sqz_error *error);
SQZ_NODISCARD sqz_status sqzi_times_beside(const sqz_allocator *allocator, uint32_t n,
                                           sqzi_timed_once *once, void *user, uint64_t limit_ns,
                                           double *ns, sqz_error *error);

/* What both models take, some seconds in all. As sqz_session_open. */
SQZ_NODISCARD sqz_status sqzi_time_models(const sqz_model *base, const sqz_model *other,
                                          uint32_t n_sequences, uint32_t length, double ns[2],
                                          sqz_error *error);

#endif
