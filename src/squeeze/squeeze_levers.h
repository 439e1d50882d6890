/* SPDX-License-Identifier: Apache-2.0 */
/* A plan done: heads, neurons, groups, rank and bits of each block, then the tables. */
#ifndef SQZI_SQUEEZE_LEVERS_H
#define SQZI_SQUEEZE_LEVERS_H

#include "squeeze/setting_errors.h"
#include "squeeze/squeeze_report.h"

typedef struct sqzi_squeeze_run {
    sqzi_weights *weights; /* of all blocks of the model; they become those of the plan */
    const sqzi_squeeze_plan *plan;
    const sqzi_statistics *statistics; /* what layers read. n_blocks 0: nothing is known */
    const sqzi_setting_errors *errors; /* orders of removal found for these statistics, or NULL */
    sqzi_squeeze_report *report;       /* errors are put in; NULL: they are not looked for */
    /* called when a block is done, and the tables: plan->n_blocks + 1 times; other than 0 stops
     * with SQZ_ECANCELLED. May be NULL */
    int (*step)(void *user);
    void *user;
} sqzi_squeeze_run;

/* SQZ_ENOMEM, SQZ_ENUMERIC, SQZ_ECANCELLED, SQZ_EUNSUPPORTED; SQZ_EINVAL as the levers say. */
SQZ_NODISCARD sqz_status sqzi_squeeze_run_levers(const sqzi_squeeze_run *run, sqz_error *error);

/* Its first half: only the plan's blocks stay in weights, and they become the plan's, on the
 * context's threads. */
SQZ_NODISCARD sqz_status sqzi_squeeze_blocks(const sqzi_squeeze_run *run, sqz_error *error);

#endif
