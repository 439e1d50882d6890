/* SPDX-License-Identifier: Apache-2.0 */
/* The errors of steps over a group, a step in each lane. Include after a vector_<isa>.h with
 * LEVEL(name) defined, which makes the level's function name. */
#include "kernel/optim/optim_kernels.h"

void LEVEL(sqzk_group_errors)(const sqzk_group *g, const float *steps, float *errors)
{
    enum { VECTORS = SQZK_GROUP_STEPS / V_WIDTH };
    const vec by = v_set(g->step), lowest = v_set(g->lowest), top = v_set(g->top),
              zero = v_set(-g->lowest / g->step);
    vec step[VECTORS], inverse[VECTORS], total[VECTORS];
    for (size_t v = 0; v < VECTORS; v++) {
        step[v] = v_load(steps + v * V_WIDTH);
        inverse[v] = v_div(v_set(1), v_mul(step[v], by));
        total[v] = v_set(0);
    }
    for (size_t lane = 0; lane < SQZK_GROUP_LANES; lane++) {
        vec sums[VECTORS];
        for (size_t v = 0; v < VECTORS; v++) sums[v] = v_set(0);
        for (size_t i = lane; i < g->n; i += SQZK_GROUP_LANES) {
            const vec w = v_set(g->weights[i]);
            for (size_t v = 0; v < VECTORS; v++) {
                const vec code = v_min(v_max(v_add(v_mul(w, inverse[v]), zero), v_set(0)), top),
                          level = v_add(lowest, v_mul(by, v_round(code))),
                          off = v_sub(w, v_mul(step[v], level));
                sums[v] = v_add(sums[v], v_mul(off, off));
            }
        }
        for (size_t v = 0; v < VECTORS; v++) total[v] = v_add(total[v], sums[v]);
    }
    for (size_t v = 0; v < VECTORS; v++) v_store(errors + v * V_WIDTH, total[v]);
}
