/* SPDX-License-Identifier: Apache-2.0 */
/* Peak of AMX in bf16: 16 x 16 sums of 32 products each. */
#define step(sum) _tile_dpbf16ps(sum, 6, 7)
#define WORD 0x3F803F80u
#define STEP_OPERATIONS (2 * 16 * 16 * 32)
#define LANE float
#define PEAK_NAME sqzk_peak_bf16_amx
#define PEAK_TEXT "tdpbf16ps"
#define PEAK_TYPE SQZI_BF16
#define KERNEL(name)    peak_bf16_amx_##name
#include "kernel/local_names.h"

#include "kernel/peak/peak_amx.h"
