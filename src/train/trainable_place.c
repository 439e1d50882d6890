/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers between the order of a file and that of masters. */
#include <string.h>

#include "nn/pack.h"
#include "train/trainable.h"

/* NULL, or the order that a bias is packed in. */
static const uint32_t *bias_places(const sqzi_parameter *p)
{
    const sqzi_linear *linear = p->entry.role == SQZI_ROLE_BIAS ? p->entry.linear : NULL;
    return linear && !linear->from ? linear->out : NULL;
}

bool sqzi_trainable_is_placed(const sqzi_parameter *p)
{
    const sqzi_matrix *matrix = sqzi_parameter_matrix(p);
    return !(matrix && sqzi_matrix_is_permuted(matrix)) && !bias_places(p);
}

void sqzi_trainable_place(const sqzi_parameter *p, const float *stored, float *placed)
{
    const sqzi_matrix *matrix = sqzi_parameter_matrix(p);
    const uint32_t *to = bias_places(p);
    if (matrix && sqzi_matrix_is_permuted(matrix))
        (void)sqzi_pack_place(matrix, (sqzi_numbers){stored, SQZI_F32, NULL}, placed);
    else if (to)
        for (size_t j = 0; j < p->n; j++) placed[to[j]] = stored[j];
    else memcpy(placed, stored, p->n * sizeof *placed);
}

static void unplace_matrix(const sqzi_matrix *matrix, const float *placed, float *stored)
{
    const size_t k = matrix->n_in / matrix->groups, n = matrix->n_out / matrix->groups;
    const uint32_t *in = matrix->packing.in, *out = matrix->packing.out;
    for (size_t r = 0; r < matrix->n_out; r++) {
        const float *row = placed + (out ? out[r] : r) * k;
        for (size_t i = 0; i < k; i++) stored[r * k + i] = row[in ? in[r / n * k + i] % k : i];
    }
}

void sqzi_trainable_unplace(const sqzi_parameter *p, const float *placed, float *stored)
{
    const sqzi_matrix *matrix = sqzi_parameter_matrix(p);
    const uint32_t *to = bias_places(p);
    if (matrix && sqzi_matrix_is_permuted(matrix)) unplace_matrix(matrix, placed, stored);
    else if (to)
        for (size_t j = 0; j < p->n; j++) stored[j] = placed[to[j]];
    else memcpy(stored, placed, p->n * sizeof *stored);
}
