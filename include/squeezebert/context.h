/* SPDX-License-Identifier: Apache-2.0 */
/* The context: allocator, kernels chosen for this CPU, and the thread pool. One a process, or two
 * side by side to compare. */
#ifndef SQUEEZEBERT_CONTEXT_H
#define SQUEEZEBERT_CONTEXT_H

#include <squeezebert/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sqz_context sqz_context;

/* Where all memory of the library comes from.
 *
 *   allocate(user, bytes, alignment)  memory of at least `bytes` bytes (> 0) at a multiple of
 *                                     `alignment` (a power of two), or NULL
 *   release(user, memory, bytes)      gives back what allocate returned; `bytes` is what was asked
 *                                     for
 *
 * Called from any thread that uses the library, several at once, also of the context's own
 * (sqz_squeeze), never from inside a run (sqz_encode and the like allocate nothing).
 */
typedef struct sqz_allocator {
    void *(*allocate)(void *user, size_t bytes, size_t alignment);
    void (*release)(void *user, void *memory, size_t bytes);
    void *user;
    uint64_t reserved[2];
} sqz_allocator;

/* Zero-initialise for the defaults.
 *
 *   allocator   copied; NULL for the C library's
 *   n_threads   threads a run may use, the caller's among them: 1..256; 0 = the CPUs this process
 *               may use (affinity and cgroup quota)
 *   cpu         which CPU features to use, like the environment variable SQZ_CPU, which counts when
 *               this is NULL: a comma-separated list of a preset (portable, sse2, avx2, avxvnni,
 *               avx512, avx512vnni, avx512bf16, fastbf16, amx, neon, dotprod, i8mm, armbf16,
 *               simd128) that caps the features, then -NAME to take single ones away: "avx2",
 *               "-amx,-avx512bf16". Never adds a feature that the CPU lacks.
 */
typedef struct sqz_context_options {
    const sqz_allocator *allocator;
    uint32_t n_threads;
    const char *cpu;
    uint64_t reserved[4];
} sqz_context_options;

/* Make a context. Starts n_threads - 1 threads, which sleep until a run needs them (they spin at
 * most 50 us between the stages of one).
 * The only place that reads the environment (SQZ_CPU). Not fork-safe: make it after fork().
 * options NULL = defaults.
 * SQZ_EINVAL: an unknown feature name, or too many threads. SQZ_ENOMEM: no memory, or one of the
 * threads could not be started; none is left then.
 */
SQZ_API SQZ_NODISCARD sqz_status sqz_context_open(const sqz_context_options *options,
                                                  sqz_context **context, sqz_error *error);

/* Stop the threads and free. Every model, session and tokenizer of the context must be closed
 * before. NULL is allowed. */
SQZ_API void sqz_context_close(sqz_context *context);

/* Threads a run may use, the caller's among them. */
SQZ_API uint32_t sqz_context_threads(const sqz_context *context);

/* What a context chose, for programs. Never changes; the strings belong to the context.
 *
 *   cpu              the CPU's name as it gives it, "" where it gives none
 *   features_found   what the CPU has, names as in sqz_context_options.cpu with a space between
 *                    two, "" where there is nothing beyond portable C
 *   features_used    those that the mask leaves
 *   gemm_*           the kernel that multiplies weights of a type: TYPE_TILE_LEVEL, as in
 *                    "gemm_f32_6x64_avx512" (doc/kernels.md)
 *   attention_*      the one of attention's products, in models of these weights
 *   rows_level       level of layer norm, softmax, activations and conversion: "avx2", "portable"
 *   n_threads        threads a run may use, the caller's among them
 *   n_cpus           sqz_cpu_count() when the context was made
 */
typedef struct sqz_context_info {
    const char *cpu;
    const char *features_found, *features_used;
    const char *gemm_f32, *gemm_bf16, *gemm_s8;
    const char *attention_bf16, *attention_s8;
    const char *rows_level;
    uint32_t n_threads, n_cpus;
} sqz_context_info;
SQZ_API const sqz_context_info *sqz_context_get_info(const sqz_context *context);

/* The same for people, a line each, with the reasons: which better kernels there are and what they
 * lack. The i-th of n, NULL from the n-th on. The wording is no interface. The strings belong to
 * the context. */
SQZ_API const char *sqz_context_fact(const sqz_context *context, uint32_t i);

/* CPUs this process may use: the smaller of the affinity mask and the quota (rounded up) of its
 * cgroup or one above it, at least 1. */
SQZ_API uint32_t sqz_cpu_count(void);

/* That quota as it stands, the least of those cgroups': 1.5 is three seconds of CPU time in two. 0
 * where none of them has one. */
SQZ_API double sqz_cpu_quota(void);

#ifdef __cplusplus
}
#endif

#endif
