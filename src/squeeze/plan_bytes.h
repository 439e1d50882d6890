/* SPDX-License-Identifier: Apache-2.0 */
/* The size of the file that a plan will make, before anything of it is done. */
#ifndef SQZI_PLAN_BYTES_H
#define SQZI_PLAN_BYTES_H

#include "squeeze/squeeze_plan.h"

/* Exact: the file's own writer counts weights of the plan's shapes that have no numbers. `weights`
 * are the model's, all blocks, vocabulary pruned; nothing of them is changed. Linears that a plan
 * changes get a bias. SQZ_ENOMEM, and as sqzi_weights_write. */
SQZ_NODISCARD sqz_status sqzi_plan_bytes(const sqzi_weights *weights, const sqzi_squeeze_plan *plan,
                                         const sqzi_step *step, uint64_t *bytes, sqz_error *error);

#endif
