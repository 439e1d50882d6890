/* SPDX-License-Identifier: Apache-2.0 */
/* A plan under a budget of bytes, of time, or of both: of the settings that each part of a model
 * may have, those whose changes of the output sum up to least (setting_errors.h, budget.h), for
 * every number of blocks that may be left.
 *
 * Chosen are, as far as options do not name them by hand:
 *
 *   words       int8 .. int2, or product quantised
 *   positions   int8 .. int2
 *   linears     int8, int4 or int3 each
 *   heads       the whole, 7/8 .. 1/2 of a block's
 *   neurons     the whole, 7/8 .. 1/8 of a block's, in multiples of SQZI_NEURONS_MULTIPLE
 *   blocks      all, or without those that change least
 *
 * Rank and groups are by hand: at equal bytes int4 and neurons removed change less (measured in
 * doc/squeezing.md), and with them neurons and heads stay whole.
 */
#ifndef SQZI_SQUEEZE_BUDGET_H
#define SQZI_SQUEEZE_BUDGET_H

#include "squeeze/setting_errors.h"
#include "squeeze/time_table.h"

/* Which errors are needed for these options. */
sqzi_setting_errors_options sqzi_squeeze_budget_asks(const sqz_model *model,
                                                     const sqz_squeeze_options *options);

/* Kinds of change that may count for more or less than they were measured to be, each alone. */
typedef enum sqzi_change_kind {
    SQZI_CHANGE_NEURONS,
    SQZI_CHANGE_HEADS,
    SQZI_CHANGE_INT3, /* of linears */
    SQZI_CHANGE_WORDS,
    SQZI_CHANGE_LAYERS,
    SQZI_CHANGE_KINDS
} sqzi_change_kind;

typedef struct sqzi_budget_task {
    uint64_t budget; /* 0: bytes are not bounded; bits, words and positions are then by hand */
    /* NULL: time is not bounded; else of every shape of sqzi_setting_shapes */
    const sqzi_time_table *times;
    double time, base_time; /* nanoseconds of the model at most, by these; of the base */
    double time_scale;      /* what such a model takes over what it takes by these; 0: 1 */
    double counts[SQZI_CHANGE_KINDS];   /* a change of that kind counts so many times; 0: once */
    const sqz_squeeze_options *options; /* what they name is by hand */
    const sqzi_setting_errors *errors;
    const sqzi_weights *weights; /* of all blocks of the model, as levers will find them */
    /* bytes of the file that a plan makes, at most */
    sqz_status (*bytes_of)(void *user, const sqzi_squeeze_plan *plan, uint64_t *bytes,
                           sqz_error *error);
    void *user;
    bool *unmet; /* set where bytes or time cannot be met; or NULL */
} sqzi_budget_task;

typedef struct sqzi_budget_outcome {
    uint64_t bytes;      /* of the file */
    uint64_t next_bytes; /* about what the next better plan takes, 0: there is none */
    double change;       /* of the output, as foretold */
    double time;         /* nanoseconds of the model, as foretold; 0 without times */
} sqzi_budget_outcome;

/* Fill in a plan that was made by hand (squeeze_plan.h); its file does not pass the budget, nor its
 * time what is given. Without times the best sum there is; with them see bounded_choice.h, for each
 * number of blocks. SQZ_EINVAL, and task->unmet set: it cannot be met; the text has the least that
 * can. SQZ_ENOMEM, and what bytes_of returns. */
SQZ_NODISCARD sqz_status sqzi_squeeze_plan_by_budget(const sqzi_budget_task *task,
                                                     sqzi_squeeze_plan *plan,
                                                     sqzi_budget_outcome *outcome,
                                                     sqz_error *error);

#endif
