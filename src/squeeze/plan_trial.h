/* SPDX-License-Identifier: Apache-2.0 */
/* What all levers of a plan together change: each block is squeezed as it will be and runs in the
 * model (trial.h), with the tables that the plan names. Tables in codes run as drafts
 * (embedding_levers.h); projections and what stands behind the blocks run as they are; where blocks
 * leave, the others are fitted to what they read when all are there. Ranks and groups do not run.
 */
#ifndef SQZI_PLAN_TRIAL_H
#define SQZI_PLAN_TRIAL_H

#include "squeeze/setting_errors.h"
#include "squeeze/squeeze_plan.h"

enum { SQZI_PLAN_TOKENS = 4096 }; /* that are enough */

typedef struct sqzi_plan_trial {
    const sqz_model *model;
    const sqzi_statistics *statistics;
    const sqzi_setting_errors *errors; /* of these statistics: orders and drafts */
    sqzi_trial trial;
} sqzi_plan_trial;

/* blocks [n] ascending, what the model consists of, as those of the errors; sequences are all run.
 * SQZ_ENOMEM. Close in any case. */
SQZ_NODISCARD sqz_status sqzi_plan_trial_open(const sqz_model *model,
                                              const sqzi_statistics *statistics,
                                              const sqzi_setting_errors *errors,
                                              const sqzi_sequences *sequences,
                                              const uint32_t *blocks, uint32_t n,
                                              sqzi_plan_trial *trial, sqz_error *error);
void sqzi_plan_trial_close(sqzi_plan_trial *trial);

/* 1 - mean cosine of the vectors. Cost: the levers of all blocks but for orders of removal, and one
 * run of the sequences. Memory: the weights as f32 and a table. Errors as sqzi_squeeze_blocks. */
SQZ_NODISCARD sqz_status sqzi_plan_trial_run(sqzi_plan_trial *trial, const sqzi_squeeze_plan *plan,
                                             double *change, sqz_error *error);

#endif
