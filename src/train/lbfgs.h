/* SPDX-License-Identifier: Apache-2.0 */
/* L-BFGS in double: the minimum of a smooth convex function of n numbers.
 *
 *     sqzi_lbfgs_open(allocator, n, &lbfgs, error)
 *     sqzi_lbfgs_run(&lbfgs, &objective, w)           as often as wanted: pairs are kept between
 *     sqzi_lbfgs_close(&lbfgs)
 *
 * A step goes along -H g, H made of the last SQZI_LBFGS_PAIRS differences of w and g (Nocedal and
 * Wright, algorithm 7.4), by a length that meets the conditions of Wolfe in their approximate form
 * (Hager and Zhang 2005): on slopes, not on differences of values, which are below rounding long
 * before the gradient is.
 */
#ifndef SQZI_LBFGS_H
#define SQZI_LBFGS_H

#include <squeezebert/status.h>

#include "base/memory.h"

enum { SQZI_LBFGS_PAIRS = 32 };

/*   value     f(w)
 *   gradient  max |g_i|
 *   steps     taken
 *   end       GOING: in go_on alone; CONVERGED; STEPS: max_steps; STUCK: no step goes down,
 * rounding decides; STOPPED */
typedef enum sqzi_lbfgs_end {
    SQZI_LBFGS_GOING,
    SQZI_LBFGS_CONVERGED,
    SQZI_LBFGS_STEPS,
    SQZI_LBFGS_STUCK,
    SQZI_LBFGS_STOPPED
} sqzi_lbfgs_end;
typedef struct sqzi_lbfgs_result {
    double value, gradient;
    uint32_t steps;
    sqzi_lbfgs_end end;
} sqzi_lbfgs_result;

/* What is minimised.
 *
 *   value    f(w), and its gradient [n]; not finite: the step is tried shorter
 *   go_on    called after each step with what is reached; false stops. May be NULL
 *   scale    v [n] to about the inverse of the second derivatives times v, which is what H is made
 *            from: symmetric and positive. NULL: v
 *   noise    how far values may be off, as a share of them
 *   tolerance, max_steps   the end: max |g_i| <= tolerance, or so many steps
 */
typedef struct sqzi_objective {
    double (*value)(void *user, const double *w, double *gradient);
    void (*scale)(void *user, double *v);
    bool (*go_on)(void *user, const sqzi_lbfgs_result *reached);
    void *user;
    double noise, tolerance;
    uint32_t max_steps;
} sqzi_objective;

typedef struct sqzi_lbfgs {
    const sqz_allocator *allocator;
    size_t n;
    double *s, *y;                                            /* [SQZI_LBFGS_PAIRS, n], a ring */
    double *gradient, *tried, *tried_gradient, *way, *scaled; /* [n] */
    double inverse[SQZI_LBFGS_PAIRS];                         /* 1 / s.y */
    uint32_t stored, next;
    void *block;
    size_t bytes;
} sqzi_lbfgs;

/* SQZ_ENOMEM. Close in any case. */
SQZ_NODISCARD sqz_status sqzi_lbfgs_open(const sqz_allocator *allocator, size_t n,
                                         sqzi_lbfgs *lbfgs, sqz_error *error);
void sqzi_lbfgs_close(sqzi_lbfgs *lbfgs);
/* Drop the pairs: they are of another function. */
void sqzi_lbfgs_forget(sqzi_lbfgs *lbfgs);
/* From w [n] to the minimum, which takes its place. Bits depend on those of value alone. */
sqzi_lbfgs_result sqzi_lbfgs_run(sqzi_lbfgs *lbfgs, const sqzi_objective *objective, double *w);

#endif
