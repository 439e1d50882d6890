/* SPDX-License-Identifier: Apache-2.0 */
/* How long models take, from token ids to logits, or to vectors where there is no head, in turn.
 *
 * What is kept of each is the least time of some rounds: whatever else the machine does can only
 * make a run slower, and who runs in turn meets the same clock of the CPU. With one thread it is
 * that thread's own time, so that what else runs on its core does not count; with more the wall's.
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

/* least[i] [n] of what `once` says of i, in rounds over all: until in a third of them no least fell
 * by over a hundredth, 6 to 200 of them, but no longer than limit_ns after the second. What once
 * fails with. */
typedef sqz_status sqzi_timed_once(void *user, uint32_t i, uint64_t *ns, sqz_error *error);
SQZ_NODISCARD sqz_status sqzi_least_times(uint32_t n, sqzi_timed_once *once, void *user,
                                          uint64_t limit_ns, uint64_t *least, sqz_error *error);

/* What both models take, at most some seconds: ns[0] of the first. As sqz_session_open. */
SQZ_NODISCARD sqz_status sqzi_time_models(const sqz_model *first, const sqz_model *second,
                                          uint32_t n_sequences, uint32_t length, uint64_t ns[2],
                                          sqz_error *error);

#endif
