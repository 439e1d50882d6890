/* SPDX-License-Identifier: Apache-2.0 */
/* What a core can do at most: loops over registers alone, one for each instruction that a gemm of a
 * level is made of, and a loop that reads memory. They exist to be timed; the timing is the
 * caller's, nothing here reads a clock. Each gemm level has its loop, so that a share of the peak
 * compares a kernel with the instruction it uses. bf16 without an instruction of its own is
 * converted, so its peak is that of f32. */
#ifndef SQZK_PEAK_H
#define SQZK_PEAK_H

#include <stddef.h>
#include <stdint.h>

#include "base/real.h"

/* Arithmetic on one type of inputs.
 *
 *   operations  of one round; a multiply-add counts as two
 *   run         does `rounds` rounds and returns their multiply-adds as its own sums counted them:
 *               every input is 1. Exact up to 2^18 rounds, another number beyond; at most 2^28
 *               rounds
 */
typedef struct sqzk_peak {
    const char *name;  /* "vfmadd231ps zmm" */
    const char *level; /* "portable", "avx2", ... */
    uint32_t feature;  /* the SQZI_CPU_ bit it needs, 0 for portable */
    sqzi_type type;
    uint64_t operations;
    uint64_t (*run)(uint64_t rounds);
} sqzk_peak;

/* Reading memory once, from front to back.
 *
 *   run  returns the sum, modulo 2^64, of the 64-bit words of memory[0 .. bytes); bytes is a
 *        multiple of 512, memory of 64
 */
typedef struct sqzk_reader {
    const char *name;
    const char *level;
    uint32_t feature;
    uint64_t (*run)(const void *memory, size_t bytes);
} sqzk_reader;

/* Every loop compiled in, portable before best within a type: the i-th, NULL from the end on. */
const sqzk_peak *sqzk_peak_list(uint32_t i);
const sqzk_reader *sqzk_reader_list(uint32_t i);

/* The last of a type (SQZI_F32, SQZI_BF16, SQZI_S8) that the features allow; SQZI_BF16 falls back
 * to f32's. Never NULL. */
const sqzk_peak *sqzk_peak_best(sqzi_type type, uint32_t features);
const sqzk_reader *sqzk_reader_best(uint32_t features);

#endif
