/* SPDX-License-Identifier: Apache-2.0 */
/* The int8 plan of a tiny model with its corrections, measured, as quantising makes it; memory that
 * fails the test where there is none. */
#ifndef SQZT_PLANNED_H
#define SQZT_PLANNED_H

#include "squeeze/bias_correction.h"
#include "support/test.h"
#include "support/tiny_model.h"

typedef struct sqzt_planned {
    sqz_context *context;
    sqz_model *model;
    sqzi_quantize_plan plan;
    sqzi_bias_corrections corrections;
} sqzt_planned;

static inline bool sqzt_keep_none(const void *user, const char *name)
{
    (void)user;
    (void)name;
    return false;
}

static inline void sqzt_plan(const sqzt_tiny *tiny, sqzt_planned *p)
{
    sqz_error error = {0};
    sqz_quantized_tensor ignored;
    const char *path = sqzt_temporary("float.gguf");
    sqzt_tiny_write(tiny, path);
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = 1}, &p->context, &error),
                   &error);
    sqzt_assert_ok(sqz_model_open(p->context, path, &p->model, &error), &error);
    sqzt_assert_ok(sqzi_quantize_plan_make(p->model, SQZ_QUANTIZE_S8, sqzt_keep_none, NULL,
                                           &p->plan, &error),
                   &error);
    sqzt_assert_ok(sqzi_bias_corrections_make(&p->plan, &p->corrections, &error), &error);
    for (uint32_t i = 0; i < p->plan.n; i++)
        sqzt_assert_ok(sqzi_quantize_measure(&p->plan, i, &ignored, &error), &error);
}

static inline void sqzt_discard_plan(sqzt_planned *p)
{
    sqzi_bias_corrections_discard(&p->corrections);
    sqzi_quantize_plan_discard(&p->plan);
    sqz_model_close(p->model);
    sqz_context_close(p->context);
}

/* Zeroed; released by sqzt_release with the same numbers. */
static inline void *sqzt_take(size_t n, size_t bytes)
{
    void *memory = sqzi_allocate_zeroed(&sqzi_default_allocator, n, bytes);
    assert_non_null(memory);
    return memory;
}

static inline void sqzt_release(void *memory, size_t n, size_t bytes)
{
    sqzi_release(&sqzi_default_allocator, memory, n * bytes);
}

#endif
