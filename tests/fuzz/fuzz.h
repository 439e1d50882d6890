/* SPDX-License-Identifier: Apache-2.0 */
/* What the parsers' harnesses share. A harness is a file fuzz_NAME.c with LLVMFuzzerTestOneInput
 * and a sqzt_fuzz_format; it is built with libFuzzer (SQZ_FUZZ), or with fuzz_driver.c, which
 * replays the corpus and then runs mutations of it, the same ones every time.
 *
 * A harness holds three things of every input: no fault that a sanitizer sees, nothing still held
 * after it, and never more memory at once than 16 times the input and 64 MB.
 */
#ifndef SQZT_FUZZ_H
#define SQZT_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/counting_memory.h"
#include "support/random.h"

/* Half open. */
typedef struct sqzt_range {
    size_t begin, end;
} sqzt_range;

enum { SQZT_RANGES = 8 };

typedef struct sqzt_token {
    const char *bytes;
    size_t n;
} sqzt_token;
#define SQZT_TOKEN(text) {text, sizeof text - 1}

/* Where mutations go, 31 of 32.
 *
 *   structure  fill `ranges` with the parts that are header, metadata, pickle or JSON; returns how
 *              many. NULL: the whole input
 *   resize     `delta` bytes were put in (or, negative, taken out) at `at`: mend the lengths that
 *              the format keeps. NULL: it keeps none
 *   tokens     [n_tokens] what the format is made of
 */
typedef struct sqzt_fuzz_format {
    size_t (*structure)(const uint8_t *data, size_t n, sqzt_range ranges[SQZT_RANGES]);
    void (*resize)(uint8_t *data, size_t n, size_t at, int64_t delta);
    const sqzt_token *tokens;
    size_t n_tokens;
} sqzt_fuzz_format;
extern const sqzt_fuzz_format sqzt_fuzz_format_of_harness;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* ---- fuzz_mutations.c ---- */

enum { SQZT_INPUT_BYTES = 1 << 18 };

/* One to four changes of data [n], which has room for SQZT_INPUT_BYTES; `other` is another seed, to
 * take pieces from. Returns the new length. *structural tells whether all of them were aimed at the
 * format's structure, which is 31 times of 32. */
size_t sqzt_mutate(sqzt_random *random, const sqzt_fuzz_format *format, uint8_t *data, size_t n,
                   const uint8_t *other, size_t n_other, bool *structural);

/* ---- fuzz_sandbox.c ---- */

/* A folder of this run's own, removed at its end. The path of `name` in it: static storage, four at
 * a time. */
const char *sqzt_fuzz_path(const char *name);
void sqzt_fuzz_write(const char *name, const void *data, size_t n);
void sqzt_fuzz_remove(const char *name);

/* The memory of one input: begin counting, with jansson's; then look at what is left and at the
 * peak. A breach stops the process. */
extern sqzt_memory sqzt_fuzz_memory;
void sqzt_fuzz_begin(size_t input_bytes);
void sqzt_fuzz_end(void);
/* A context over the counted memory, one thread, portable kernels; made at its first call, its own
 * memory not counted. */
sqz_context *sqzt_fuzz_context(void);
/* Stop the process with this text: an invariant does not hold. */
_Noreturn void sqzt_fuzz_breach(const char *what);

#endif
