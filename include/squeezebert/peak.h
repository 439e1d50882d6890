/* SPDX-License-Identifier: Apache-2.0 */
/* What this machine can do at most (libsqueezebert-full).
 *
 * Work for measuring it; the clock is the caller's. Every thread of the context does its share;
 * where another run has the threads, the caller's alone.
 *
 *   sqz_peak_arithmetic    multiply-adds over registers alone, `rounds` of them (1..2^28; some tens
 *                          a round) in each thread, by the best instruction that the features allow
 *                          for inputs of the type; returns the operations done by all, a
 *                          multiply-add counting as two
 *   sqz_peak_read          reads memory [bytes], at a multiple of 64, once from front to back, each
 *                          thread its own part; returns the bytes read: `bytes` rounded down to a
 *                          multiple of 512
 *   sqz_peak_instruction   that instruction: "vpdpbusd zmm"; BF16 may name one of f32
 */
#ifndef SQUEEZEBERT_PEAK_H
#define SQUEEZEBERT_PEAK_H

#include <squeezebert/context.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum sqz_peak_type { SQZ_PEAK_F32, SQZ_PEAK_BF16, SQZ_PEAK_S8 } sqz_peak_type;
SQZ_API uint64_t sqz_peak_arithmetic(sqz_context *context, sqz_peak_type type, uint64_t rounds);
SQZ_API uint64_t sqz_peak_read(sqz_context *context, const void *memory, size_t bytes);
SQZ_API const char *sqz_peak_instruction(const sqz_context *context, sqz_peak_type type);

#ifdef __cplusplus
}
#endif

#endif
