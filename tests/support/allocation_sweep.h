/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation fails once: the first, the second, and so on until a call gets through. Each
 * time the call must say SQZ_ENOMEM, hold nothing after it, and leave what it was called on as good
 * as new. */
#ifndef SQZT_ALLOCATION_SWEEP_H
#define SQZT_ALLOCATION_SWEEP_H

#include <squeezebert/eval.h>
#include <squeezebert/import.h>
#include <squeezebert/task.h>

#include "support/counting_memory.h"

/* What a scenario works on; all of it was made while nothing failed. */
typedef struct sqzt_subject {
    sqz_context *context;
    sqz_allocator allocator;
    const char *path;      /* a model file, or a folder */
    const sqz_model *model;
    sqz_task *task;        /* NULL: the scenario makes its own */
} sqzt_subject;
typedef sqz_status sqzt_scenario(const sqzt_subject *subject, sqz_error *error);

extern sqzt_memory sqzt_swept;

/* A counted context of one thread, in which the further subjects work; and that nothing is held
 * once it is closed. */
sqzt_subject sqzt_sweep_begin(void);
void sqzt_sweep_end(const sqzt_subject *subject);

/* Returns how many allocations the scenario makes when none fails. */
uint64_t sqzt_sweep(const char *name, sqzt_scenario *run, const sqzt_subject *subject);
/* Of scenarios that take long: the first allocation fails, then each step-th. */
uint64_t sqzt_sweep_every(const char *name, sqzt_scenario *run, const sqzt_subject *subject,
                          uint32_t step);

#endif
