/* SPDX-License-Identifier: Apache-2.0 */
/* Memory: the allocator's wrappers, the arena that lays out one allocation, and the byte buffer
 * that grows.
 *
 * An arena is run twice over the same layout code: first with a NULL base, where it only counts,
 * then over memory of the counted size. So a size never comes from a second formula.
 *
 *     sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
 *     lay_out(&arena, &unused);                     counts
 *     memory = sqzi_allocate(allocator, arena.used)
 *     arena = sqzi_arena_over(memory, arena.used);
 *     lay_out(&arena, &object);                     places
 */
#ifndef SQZI_MEMORY_H
#define SQZI_MEMORY_H

#include <stdbool.h>

#include <squeezebert/context.h>

#define SQZI_ALIGNMENT 64 /* a cache line, and the widest vector register */

/* The C library's allocator; allocations of 2 MiB and more ask for huge pages. */
extern const sqz_allocator sqzi_default_allocator;

/* bytes may be 0 (a valid pointer comes back, release it as any other). NULL when there is no
 * memory. Aligned to SQZI_ALIGNMENT. */
void *sqzi_allocate(const sqz_allocator *allocator, size_t bytes);

/* n * item_bytes zeroed bytes; NULL when there is no memory or the product overflows. */
void *sqzi_allocate_zeroed(const sqz_allocator *allocator, size_t n, size_t item_bytes);

/* memory NULL is allowed; `bytes` is what was asked for (n * item_bytes). */
void sqzi_release(const sqz_allocator *allocator, void *memory, size_t bytes);

typedef struct sqzi_arena {
    unsigned char *base; /* NULL: only counts */
    size_t capacity;
    size_t used;         /* SIZE_MAX once a request overflowed */
} sqzi_arena;

sqzi_arena sqzi_arena_over(void *base, size_t capacity);

/* n items of item_bytes at the next multiple of SQZI_ALIGNMENT. While counting: NULL. Asserts that
 * a placed request fits. */
void *sqzi_arena_take(sqzi_arena *arena, size_t n, size_t item_bytes);

/* Bytes that grow up to `limit`. Zero-initialise and set allocator and limit. */
typedef struct sqzi_buffer {
    const sqz_allocator *allocator;
    unsigned char *data;
    size_t used;
    size_t capacity;
    size_t limit;
} sqzi_buffer;

/* Room for `bytes` more, geometric growth. SQZ_ENOMEM, or SQZ_ELIMIT past the limit. */
SQZ_NODISCARD sqz_status sqzi_buffer_reserve(sqzi_buffer *buffer, size_t bytes, sqz_error *error);
SQZ_NODISCARD sqz_status sqzi_buffer_append(sqzi_buffer *buffer, const void *data, size_t bytes,
                                            sqz_error *error);
void sqzi_buffer_free(sqzi_buffer *buffer);

/* *product = a * b, false when it overflows. */
bool sqzi_multiply(size_t a, size_t b, size_t *product);

#endif
