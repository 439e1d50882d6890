/* SPDX-License-Identifier: Apache-2.0 */
/* A block that takes as long as one of a file would, before there is such a file: packed as the
 * loader packs it, of invented numbers. */
#ifndef SQZI_INVENTED_BLOCK_H
#define SQZI_INVENTED_BLOCK_H

#include "squeeze/squeeze_plan.h"

typedef struct sqzi_invented_block {
    sqzi_block block; /* norms and activation are those of the model's */
    void *memory;
    size_t bytes;
} sqzi_invented_block;

/* weights: the model's, all blocks. integers: the gemm is that of int8, else of f32, whatever
 * storage the plan names. SQZ_ENOMEM, SQZ_EUNSUPPORTED: no kernel multiplies int8. Discard in any
 * case. */
SQZ_NODISCARD sqz_status sqzi_invented_block_make(const sqzi_weights *weights,
                                                  const sqzi_block_plan *plan, bool integers,
                                                  sqzi_invented_block *block, sqz_error *error);
void sqzi_invented_block_discard(const sqzi_weights *weights, sqzi_invented_block *block);

#endif
