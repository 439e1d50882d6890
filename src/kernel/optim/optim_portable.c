/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of the optimiser, for any CPU. */
#define KERNEL(name) optim_portable_##name
#include "kernel/local_names.h"

#define LEVEL(name) name##_portable
#include "kernel/optim/optim_template.h"

/* Add (w - step level)^2 of weights lane, lane + 8 .. Adding 2^23 rounds to an integer. */
static inline void add_lane(const sqzk_group *g, size_t lane, const float *steps,
                            const float *inverse, float *errors)
{
    const float by = g->step, lowest = g->lowest, zero = -lowest / by, top = g->top;
    float sums[SQZK_GROUP_STEPS] = {0};
    for (size_t i = lane; i < g->n; i += SQZK_GROUP_LANES) {
        const float w = g->weights[i];
        for (size_t t = 0; t < SQZK_GROUP_STEPS; t++) {
            float code = w * inverse[t] + zero;
            code = code > 0 ? code : 0;
            code = code < top ? code : top;
            const float off = w - steps[t] * (lowest + by * ((code + 0x1p23f) - 0x1p23f));
            sums[t] += off * off;
        }
    }
    for (size_t t = 0; t < SQZK_GROUP_STEPS; t++) errors[t] += sums[t];
}

void sqzk_group_errors_portable(const sqzk_group *g, const float *steps, float *errors)
{
    float inverse[SQZK_GROUP_STEPS];
    for (size_t t = 0; t < SQZK_GROUP_STEPS; t++) {
        inverse[t] = 1 / (steps[t] * g->step);
        errors[t] = 0;
    }
    for (size_t lane = 0; lane < SQZK_GROUP_LANES; lane++)
        add_lane(g, lane, steps, inverse, errors);
}
