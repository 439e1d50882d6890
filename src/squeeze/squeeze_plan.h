/* SPDX-License-Identifier: Apache-2.0 */
/* What is to become of each part of a model: chosen by hand (squeeze_options.c) or under a budget,
 * then done by squeeze_levers.c, whoever chose.
 */
#ifndef SQZI_SQUEEZE_PLAN_H
#define SQZI_SQUEEZE_PLAN_H

#include <squeezebert/squeeze.h>

#include "squeeze/weights.h"

/* Of a linear that is one whole term; of others, its storage alone.
 *
 *   groups 1, rank 0   stays whole
 *   groups 1, rank r   B A alone
 *   groups g, rank 0   block diagonal behind permutations
 *   groups g, rank r   both, summed
 */
typedef struct sqzi_linear_plan {
    uint32_t groups, rank;
    sqzi_storage storage;
} sqzi_linear_plan;

typedef struct sqzi_block_plan {
    uint32_t source;         /* its number in the model */
    uint32_t heads, neurons; /* that stay */
    sqzi_linear_plan linears[SQZI_BLOCK_LINEARS];
} sqzi_block_plan;

typedef struct sqzi_squeeze_plan {
    const sqz_allocator *allocator;
    uint32_t n_blocks, n_made;
    sqzi_block_plan *blocks; /* [n_blocks], ascending by source; room for n_made */
    sqz_embedding_form embedding;
    uint32_t embedding_size;
    uint32_t static_width; /* > 0: of a static table, which takes the place of everything */
    sqzi_storage word, factor, position, projection;
    sqzi_storage others; /* what stands behind the blocks, to nearest */
    bool drop_pooler;    /* which neither the head nor the pooling of embeddings reads */
    bool plain;
} sqzi_squeeze_plan;

/* The model as it is: every block, f32. SQZ_ENOMEM. Discard in any case. */
SQZ_NODISCARD sqz_status sqzi_squeeze_plan_make(const sqz_model *model, sqzi_squeeze_plan *plan,
                                                sqz_error *error);
/* Over a plan of the same model. */
void sqzi_squeeze_plan_copy(const sqzi_squeeze_plan *from, sqzi_squeeze_plan *plan);
bool sqzi_squeeze_plan_is(const sqzi_squeeze_plan *plan, const sqzi_squeeze_plan *other);
/* *blocks [n_made]: the sources of the plan's blocks, in memory of the plan's allocator.
 * SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_squeeze_plan_blocks(const sqzi_squeeze_plan *plan, uint32_t **blocks,
                                                  sqz_error *error);
void sqzi_squeeze_plan_discard(sqzi_squeeze_plan *plan);

/* What options ask for by hand, over a plan that has just been made. SQZ_EINVAL: a lever that does
 * not fit the model or another, with the number that would. */
SQZ_NODISCARD sqz_status sqzi_squeeze_plan_by_hand(const sqz_model *model,
                                                   const sqz_squeeze_options *options,
                                                   sqzi_squeeze_plan *plan, sqz_error *error);

/* Options by themselves, of any model: SQZ_EINVAL. */
SQZ_NODISCARD sqz_status sqzi_squeeze_check_alone(const sqz_squeeze_options *options,
                                                  sqz_error *error);

/* SQZ_EUNSUPPORTED: not all weights are floats: what int8 has rounded off is not there any more. */
SQZ_NODISCARD sqz_status sqzi_squeeze_check_source(const sqz_model *model, sqz_error *error);

/* Somebody must have run the model on texts: a lever of the plan asks what a layer reads. */
bool sqzi_squeeze_plan_reads(const sqz_model *model, const sqzi_squeeze_plan *plan);

/* The model has a pooler, and neither its head nor its embeddings read it. */
bool sqzi_squeeze_pooler_is_idle(const sqz_model *model);

/* sqzi_storage of 8, 4, 3 or 2 bits; F32 of any other number. */
sqzi_storage sqzi_storage_of_bits(uint32_t bits);
/* "int8", "F32" */
const char *sqzi_storage_name(sqzi_storage storage);

#endif
