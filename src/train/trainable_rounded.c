/* SPDX-License-Identifier: Apache-2.0 */
/* How the model that is trained reads what is fake-quantised. */
#include "train/trainable.h"

/* Matrices that are rounded meet int8 rows, those of a whole ffn_down as they come from its
 * activation; their gradients are products of floats. */
void sqzi_rounded_describe(const sqzi_trainable *t, const sqzk_gemm *gemm)
{
    for (uint32_t i = 0; i < t->parameters.n; i++) {
        const sqzi_parameter *p = &t->parameters.list[i];
        const sqzi_tensor_entry *e = &p->entry;
        if (!p->bits) continue;
        const sqzi_block *block = e->part == SQZI_PART_BLOCK ? &t->model->encoder.blocks[e->block]
                                                             : NULL;
        sqzi_matrix *matrix = (sqzi_matrix *)(uintptr_t)sqzi_parameter_matrix(p);
        matrix->grad_gemm = gemm;
        if (block && e->linear == &block->ffn_down && e->linear->n_terms == 1 &&
            e->role == SQZI_ROLE_WHOLE)
            matrix->unsigned_rows = sqzi_lowest_of(block->activation, &matrix->zero_point);
    }
}

const sqzi_real *sqzi_rounded_bias(const sqzi_trainable *t, const sqzi_linear *linear)
{
    for (uint32_t i = 0; i < t->parameters.n; i++) {
        const sqzi_tensor_entry *e = &t->parameters.list[i].entry;
        if (e->role == SQZI_ROLE_BIAS && e->linear == linear) return t->parameters.list[i].master;
    }
    return NULL;
}

void sqzi_rounded_point(const sqzi_trainable *t)
{
    for (uint32_t i = 0; i < t->parameters.n; i++) {
        const sqzi_linear *linear = t->parameters.list[i].entry.linear;
        if (!t->parameters.list[i].bits || !t->rounded[i].bias) continue;
        ((sqzi_linear *)(uintptr_t)linear)->bias_is_zero_point = !sqzi_rounded_bias(t, linear);
        ((sqzi_linear *)(uintptr_t)linear)->bias = t->rounded[i].bias;
    }
}
