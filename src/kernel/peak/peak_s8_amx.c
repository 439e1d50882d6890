/* SPDX-License-Identifier: Apache-2.0 */
/* Peak of AMX in int8: 16 x 16 sums of 64 products each. */
#define step(sum) _tile_dpbssd(sum, 6, 7)
#define WORD 0x01010101u
#define STEP_OPERATIONS (2 * 16 * 16 * 64)
#define LANE int32_t
#define PEAK_NAME sqzk_peak_s8_amx
#define PEAK_TEXT "tdpbssd"
#define PEAK_TYPE SQZI_S8
#define KERNEL(name)    peak_s8_amx_##name
#include "kernel/local_names.h"

#include "kernel/peak/peak_amx.h"
