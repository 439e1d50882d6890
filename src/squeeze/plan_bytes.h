/* SPDX-License-Identifier: Apache-2.0 */
/* The size of the file that a plan will make, before anything of it is done. */
#ifndef SQZI_PLAN_BYTES_H
#define SQZI_PLAN_BYTES_H

#include "squeeze/squeeze_plan.h"

/* Exact: the file's own writer counts weights of the plan's shapes that have no numbers. `weights`
 * are the model's, all blocks, vocabulary pruned; nothing of them is changed. Linears that a plan
 * changes get a bias. step NULL: of the weights' tensors alone. SQZ_ENOMEM, and as
 * sqzi_weights_write. */
SQZ_NODISCARD sqz_status sqzi_plan_bytes(const sqzi_weights *weights, const sqzi_squeeze_plan *plan,
                                         const sqzi_step *step, uint64_t *bytes, sqz_error *error);

/* What stands for numbers in a shape: `order` for permutations that groups make, `bias` for biases
 * of linears that change. */
typedef struct sqzi_shape_numbers {
    uint32_t *order;
    float *bias;
} sqzi_shape_numbers;

/* A block of the model gets the shapes that a plan has for it: sides, groups and storage of its
 * matrices, which have no numbers where they changed. Nothing is copied or released. */
void sqzi_plan_shape_block(const sqzi_block_plan *plan, const sqzi_shape_numbers *numbers,
                           sqzi_weight_block *block);

#endif
