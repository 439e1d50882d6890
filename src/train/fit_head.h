/* SPDX-License-Identifier: Apache-2.0 */
/* A linear classifier of rows that are computed once: multinomial logistic regression with L2, as
 * scikit-learn's LogisticRegression (solver lbfgs) defines it:
 *
 *     f(W, b) = 1/n sum_r -log softmax(W x_r + b)[label_r] + 1/(2 C n) ||W||^2
 *
 * Of two classes, as there, the difference of the rows of W is what is penalised:
 * 1/(2 C n) ||W_1 - W_0||^2, where the sum of both is 0.
 *
 * Knows no files and no model. Products run in the numbers of x until they are too coarse to go on,
 * then, where `exact` is asked for, in double; sums over rows are taken in blocks of fixed rows, in
 * order: bits do not depend on the team.
 */
#ifndef SQZI_FIT_HEAD_H
#define SQZI_FIT_HEAD_H

#include "base/threads.h"
#include "kernel/kernel.h"
#include "train/fit_curvature.h"
#include "train/lbfgs.h"

/* Rows of a block; classes, and panels of columns of x, of a part of the gradient. */
enum { SQZI_FIT_ROWS = 256, SQZI_FIT_CLASSES = 32, SQZI_FIT_PANELS = 2 };

/*   x        [n, width], row stride ldx
 *   labels   [n] < classes */
typedef struct sqzi_fit_data {
    const sqzi_real *x;
    size_t ldx;
    const uint32_t *labels;
    uint32_t n, width, classes;
} sqzi_fit_data;

/*   penalty    C > 0
 *   tolerance  max |g_i| at the end
 *   max_steps  of each of the two runs
 *   exact      1: to the last bits in double
 *   go_on      as in sqzi_objective; user is what it is called with */
typedef struct sqzi_fit_settings {
    double penalty, tolerance;
    uint32_t max_steps;
    bool exact;
    bool (*go_on)(void *user, const sqzi_lbfgs_result *reached);
    void *user;
} sqzi_fit_settings;

typedef struct sqzi_fit {
    sqzi_fit_data data;
    const sqz_allocator *allocator;
    const sqzk_gemm *gemm;
    sqzi_thread_pool *pool;
    uint32_t n_blocks, members;
    /* x packed, a block after the other: what gradients multiply with */
    unsigned char *packed;
    size_t block_bytes;
    unsigned char *packed_w; /* W as the forward reads it */
    sqzi_real *w;            /* [classes, width] rounded */
    double *turned;          /* [width, classes] exact: W turned */
    void *d;                 /* d f / d logits, [classes, rows] a block: reals, exact double */
    double *losses;          /* [n_blocks] */
    double *spreads;         /* [n_blocks] sums of p (1 - p) */
    double *bias_sums;       /* [n_blocks, classes] */
    unsigned char *scratch;  /* [members, scratch_bytes] */
    size_t scratch_bytes;
    sqzi_lbfgs lbfgs;
    sqzi_curvature curvature;
    /* of the run at hand */
    const double *at;
    double *gradient;
    double decay, spread;
    bool exact;
    const sqzi_fit_settings *settings;
    double best;
    uint32_t best_step;
    void *block;
    size_t bytes;
} sqzi_fit;

/* Memory: a packed copy of x, and 8 bytes a row and class. data.x and labels live as long.
 * SQZ_ENOMEM. Close in any case. */
SQZ_NODISCARD sqz_status sqzi_fit_open(const sqz_allocator *allocator, const sqzi_fit_data *data,
                                       const sqzk_gemm *gemm, sqzi_thread_pool *pool, sqzi_fit *fit,
                                       sqz_error *error);
void sqzi_fit_close(sqzi_fit *fit);

/* From w [classes, width + 1], the bias last in each row, to the minimum. */
sqzi_lbfgs_result sqzi_fit_run(sqzi_fit *fit, const sqzi_fit_settings *settings, double *w);

/* ---- fit_gradient.c ---- */

/* Rows of a block; the last one may have fewer. */
static inline uint32_t sqzi_fit_rows(const sqzi_fit *fit, uint32_t block)
{
    const uint32_t left = fit->data.n - block * SQZI_FIT_ROWS;
    return left < SQZI_FIT_ROWS ? left : SQZI_FIT_ROWS;
}

/* Of fit->at, with its products' weights set: losses, spreads and bias_sums by blocks, and the
 * gradient but for the biases. */
void sqzi_fit_evaluate(sqzi_fit *fit);

#endif
