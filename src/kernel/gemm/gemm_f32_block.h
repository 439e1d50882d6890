/* SPDX-License-Identifier: Apache-2.0 */
/* How every f32 gemm cuts k. */
#ifndef SQZK_GEMM_F32_BLOCK_H
#define SQZK_GEMM_F32_BLOCK_H

/* k of one chain of multiply-adds; the chains of an output are summed in order. Shorter chains
 * round less and cost one more pass over the tile. */
enum { GEMM_F32_BLOCK = 128 };

#endif
