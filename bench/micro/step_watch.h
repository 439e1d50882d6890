/* SPDX-License-Identifier: Apache-2.0 */
/* Where the time of a trainer's step goes: every kernel that its tables hold stands behind a
 * stopwatch, put there before the model is opened. What a kernel was called for is told by the
 * memory it works in. Times are CPU time of all threads together, less what reading the clock
 * takes; a watch that is off costs a branch. */
#ifndef BENCH_STEP_WATCH_H
#define BENCH_STEP_WATCH_H

#include <stdatomic.h>

#include "model/context.h"
#include "model/loader.h"
#include "nn/encoder_back_grad.h"
#include "train/trainer.h"

typedef enum step_part {
    PRODUCT_Y,
    PRODUCT_DX,
    PRODUCT_DW,
    PACK_W,
    PACK_TURNED,
    PACK_X,
    TURN_DY,
    ROUND_ROWS,
    ATTENTION_PRODUCTS,
    ATTENTION_PACK,
    ATTENTION_TURN,
    ATTENTION_SOFTMAX,
    ATTENTION_DROPOUT,
    DROPOUT,
    NORMS,
    ACTIVATIONS,
    BIASES,
    GATHERS,
    SQUARES,
    ADAMW,
    STEP_PARTS
} step_part;

static const char *const step_part_names[STEP_PARTS] = {"y = x W'",
                                                        "dx = dy W",
                                                        "dW = dy' x",
                                                        "pack W",
                                                        "pack W turned",
                                                        "pack x",
                                                        "turn dy",
                                                        "rows to bf16",
                                                        "attention: gemms",
                                                        "attention: pack",
                                                        "attention: turn",
                                                        "attention: softmax",
                                                        "attention: dropout",
                                                        "dropout",
                                                        "norms",
                                                        "activations",
                                                        "bias sums",
                                                        "gathers, converts",
                                                        "squares",
                                                        "AdamW"};

typedef struct memory_range {
    const unsigned char *begin, *end;
} memory_range;

static struct step_watch {
    bool on;
    _Atomic uint64_t ns[STEP_PARTS], calls;
    uint64_t reading; /* ns */
    /* the real ones */
    sqzk_table kernels;
    sqzk_grad_table grad;
    sqzk_optim_table optim;
    const sqz_trainer *trainer;
    memory_range weights, own_weights, turned; /* packed W; W' of a block's backward */
} watch;

static sqzk_gemm watched_gemms[2]; /* f32, bf16 */

static bool within(const memory_range *range, const void *p)
{
    const unsigned char *at = p;
    return at >= range->begin && at < range->end;
}

static bool is_weights(const void *p)
{
    return within(&watch.weights, p) || within(&watch.own_weights, p);
}

/* Of a head's backward, or its forward with dropout. */
static bool is_attention(const void *p)
{
    if (!watch.trainer) return false;
    const sqzi_back_scratch *scratch = watch.trainer->gradient.tape.back->scratch;
    for (uint32_t i = 0; i < watch.trainer->gradient.workspace.members; i++) {
        const sqzi_attention_back *a = &scratch[i].attention;
        const void *const all[] = {a->k_rows,  a->v_rows,    a->k_columns, a->strip,    a->turned,
                                   a->weights, a->d_weights, a->of_width,  a->of_length};
        for (size_t j = 0; j < sizeof all / sizeof *all; j++)
            if (p == all[j]) return true;
    }
    return false;
}

static uint64_t thread_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t watch_begin(void)
{
    return watch.on ? thread_ns() : 0;
}

static void watch_end(step_part part, uint64_t begin)
{
    if (!watch.on) return;
    const uint64_t ns = thread_ns() - begin;
    atomic_fetch_add_explicit(&watch.ns[part], ns > watch.reading ? ns - watch.reading : 0,
                              memory_order_relaxed);
    atomic_fetch_add_explicit(&watch.calls, 1, memory_order_relaxed);
}

/* What reading the clock adds to a time, and to a step. */
static void watch_calibrate(void)
{
    enum { TIMES = 10000 };
    const uint64_t begin = thread_ns();
    for (int i = 0; i < TIMES; i++) (void)thread_ns();
    watch.reading = (thread_ns() - begin) / TIMES;
}

/* ---- gemms ---- */

static const sqzk_gemm *real_gemm(int i)
{
    return i ? watch.kernels.gemm_bf16 : watch.kernels.gemm_f32;
}

static void watch_run(int i, const sqzk_gemm_args *args)
{
    const uint64_t begin = watch_begin();
    real_gemm(i)->run(args);
    if (watch.on)
        watch_end(is_weights(args->b)              ? PRODUCT_Y
                  : within(&watch.turned, args->b) ? PRODUCT_DX
                  : is_attention(args->b)          ? ATTENTION_PRODUCTS
                                                   : PRODUCT_DW,
                  begin);
}

static void watch_pack(int i, const sqzk_pack_args *args, void *packed)
{
    const uint64_t begin = watch_begin();
    real_gemm(i)->pack(args, packed);
    if (watch.on)
        watch_end(is_weights(packed)              ? PACK_W
                  : within(&watch.turned, packed) ? PACK_TURNED
                  : is_attention(packed)          ? ATTENTION_PACK
                                                  : PACK_X,
                  begin);
}

static void run_f32(const sqzk_gemm_args *args)
{
    watch_run(0, args);
}
static void run_bf16(const sqzk_gemm_args *args)
{
    watch_run(1, args);
}
static void pack_f32(const sqzk_pack_args *args, void *packed)
{
    watch_pack(0, args, packed);
}
static void pack_bf16(const sqzk_pack_args *args, void *packed)
{
    watch_pack(1, args, packed);
}
static bool prepare_bf16(const sqzk_prepare_args *args)
{
    const uint64_t begin = watch_begin();
    const bool finite = watch.kernels.gemm_bf16->prepare(args);
    watch_end(ROUND_ROWS, begin);
    return finite;
}

/* ---- rows ---- */

#define WATCHED(name, args_type, table, part)                                                      \
    static void watch_##name(const args_type *args)                                                \
    {                                                                                              \
        const uint64_t begin = watch_begin();                                                      \
        watch.table.name(args);                                                                    \
        watch_end(part, begin);                                                                    \
    }

WATCHED(layer_norm, sqzk_layer_norm_args, kernels, NORMS)
WATCHED(softmax, sqzk_softmax_args, kernels, ATTENTION_SOFTMAX)
WATCHED(scale_rows, sqzk_scale_rows_args, kernels, ATTENTION_SOFTMAX)
WATCHED(gather, sqzk_gather_args, kernels, GATHERS)
WATCHED(convert, sqzk_convert_args, kernels, GATHERS)
WATCHED(layer_norm_grad, sqzk_layer_norm_grad_args, grad, NORMS)
WATCHED(softmax_grad, sqzk_softmax_grad_args, grad, ATTENTION_SOFTMAX)
WATCHED(activate_grad, sqzk_activate_grad_args, grad, ACTIVATIONS)
WATCHED(sum_rows, sqzk_sum_rows_args, grad, BIASES)
WATCHED(adamw, sqzk_adamw_args, optim, ADAMW)
WATCHED(transpose, sqzk_transpose_args, grad, is_attention(args->out) ? ATTENTION_TURN : TURN_DY)
WATCHED(dropout, sqzk_dropout_args, grad, is_attention(args->x) ? ATTENTION_DROPOUT : DROPOUT)
#undef WATCHED

static void watch_activate(sqzk_activation activation, size_t n, const sqzi_real *x, sqzi_real *y)
{
    const uint64_t begin = watch_begin();
    watch.kernels.activate(activation, n, x, y);
    watch_end(ACTIVATIONS, begin);
}

static double watch_squares(const sqzi_real *x, size_t n)
{
    const uint64_t begin = watch_begin();
    const double sum = watch.optim.squares(x, n);
    watch_end(SQUARES, begin);
    return sum;
}

/* ---- putting them in place ---- */

/* Before a model is opened with the context. */
static void watch_context(sqz_context *context)
{
    sqzk_table *t = &context->kernels;
    const bool attention_in_bf16 = t->attention_bf16 == t->gemm_bf16;
    watch.kernels = *t;
    watch.trainer = NULL;
    watched_gemms[0] = *t->gemm_f32;
    watched_gemms[0].run = run_f32;
    watched_gemms[0].pack = pack_f32;
    watched_gemms[1] = *t->gemm_bf16;
    watched_gemms[1].run = run_bf16;
    watched_gemms[1].pack = pack_bf16;
    watched_gemms[1].prepare = t->gemm_bf16->prepare ? prepare_bf16 : NULL;
    t->gemm_f32 = &watched_gemms[0];
    t->gemm_bf16 = &watched_gemms[1];
    t->attention_bf16 = &watched_gemms[attention_in_bf16];
    t->layer_norm = watch_layer_norm;
    t->softmax = watch_softmax;
    t->scale_rows = watch_scale_rows;
    t->gather = watch_gather;
    t->convert = watch_convert;
    t->activate = watch_activate;
}

static memory_range range_of(const sqzi_arena *arena)
{
    const unsigned char *base = arena->base;
    return (memory_range){base, base ? base + arena->capacity : base};
}

static void widen(memory_range *range, const sqzi_linear *linear)
{
    const sqzi_matrix *matrix = &linear->terms[0].b;
    if (!matrix->packed) return;
    const unsigned char *end = matrix->packed + matrix->groups * matrix->group_bytes;
    if (!range->begin || matrix->packed < range->begin) range->begin = matrix->packed;
    if (end > range->end) range->end = end;
}

/* The memory of matrices turned, of all blocks. */
static memory_range turned_of(const sqz_trainer *t)
{
    memory_range range = {0};
    for (uint32_t i = 0; i < t->trainable.model->encoder.n_blocks; i++)
        for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++) {
            const sqzi_linear_back *back = &t->gradient.tape.back->blocks[i].turned[j];
            for (uint32_t k = 0; k < back->n_terms; k++) {
                if (back->terms[k].low_rank) widen(&range, &back->terms[k].middle);
                widen(&range, &back->terms[k].last);
            }
        }
    return range;
}

/* Before its first step. */
static void watch_trainer(sqz_trainer *t)
{
    watch.trainer = t;
    watch.grad = t->kernels;
    watch.optim = t->optimizer.kernels;
    watch.weights = range_of(&t->trainable.model->weights);
    watch.own_weights = range_of(&t->trainable.packed);
    watch.turned = turned_of(t);
    t->kernels = (sqzk_grad_table){.features = t->kernels.features,
                                   .rows_level = t->kernels.rows_level,
                                   .transpose = watch_transpose,
                                   .layer_norm_grad = watch_layer_norm_grad,
                                   .softmax_grad = watch_softmax_grad,
                                   .activate_grad = watch_activate_grad,
                                   .sum_rows = watch_sum_rows,
                                   .dropout = watch_dropout};
    t->optimizer.kernels = (sqzk_optim_table){.level = watch.optim.level,
                                              .adamw = watch_adamw,
                                              .squares = watch_squares};
}

static void watch_clear(void)
{
    for (int i = 0; i < STEP_PARTS; i++) atomic_store(&watch.ns[i], 0);
    atomic_store(&watch.calls, 0);
}

#endif
