/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients against differences, in the double build: along one random direction v of a tensor,
 * (L(t + h v) - L(t - h v)) / 2h with h = 1e-5, which is off by h^2 L''' and by the rounding of L.
 */
#ifndef SQZT_DIFFERENCE_H
#define SQZT_DIFFERENCE_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/real.h"
#include "support/random.h"
#include "support/test.h"

typedef sqzi_real sqzt_loss(void *user);

/* L at t + h v, which is left there. */
static inline double sqzt_loss_at(sqzt_loss *loss, void *user, sqzi_real *tensor, size_t n,
                                  const sqzi_real *kept, const sqzi_real *v, sqzi_real h)
{
    for (size_t i = 0; i < n; i++) tensor[i] = kept[i] + h * v[i];
    return (double)loss(user);
}

/* The tensor is as it was afterwards. `name` and `part` stand in the message. */
static inline void sqzt_expect_difference(const char *name, const char *part, sqzt_loss *loss,
                                          void *user, sqzi_real *tensor, const sqzi_real *gradient,
                                          size_t n, sqzt_random *random)
{
    const sqzi_real h = (sqzi_real)1e-5;
    sqzi_real *kept = malloc(n * sizeof *kept), *v = malloc(n * sizeof *v);
    double gv = 0, gg = 0, vv = 0;
    assert_true(kept && v);
    memcpy(kept, tensor, n * sizeof *kept);
    for (size_t i = 0; i < n; i++) {
        v[i] = (sqzi_real)sqzt_normal(random);
        gv += (double)(gradient[i] * v[i]);
        gg += (double)(gradient[i] * gradient[i]);
        vv += (double)(v[i] * v[i]);
    }
    const double up = sqzt_loss_at(loss, user, tensor, n, kept, v, h),
                 down = sqzt_loss_at(loss, user, tensor, n, kept, v, -h),
                 difference = (up - down) / (2 * (double)h);
    const double bound = 1e-7 * fmax(fabs(gv), sqrt(gg * vv / (double)n)) +
                         4 * 0x1p-52 * fmax(fabs(up), fabs(down)) / (double)h;
    memcpy(tensor, kept, n * sizeof *kept);
    free(kept);
    free(v);
    if (!(fabs(difference - gv) <= bound))
        fail_msg("%s, %s: %.12g by the gradient, %.12g by differences, +- %.3g", name, part, gv,
                 difference, bound);
}

#endif
