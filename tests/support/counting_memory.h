/* SPDX-License-Identifier: Apache-2.0 */
/* An allocator that counts, fails when told to, and knows what is still held. */
#ifndef SQZT_COUNTING_MEMORY_H
#define SQZT_COUNTING_MEMORY_H

#include <squeezebert/context.h>

typedef struct sqzt_memory {
    uint64_t calls;      /* of allocate */
    uint64_t fail_at;    /* the call (from 1) that fails, 0 for none */
    uint64_t held_bytes; /* given and not yet taken back */
    uint64_t most_bytes;
    uint64_t limit_bytes; /* a request that would hold more fails, 0 for no limit */
    uint64_t refused;     /* requests that the limit made fail */
} sqzt_memory;

/* Threads may use it one at a time only. */
sqz_allocator sqzt_allocator(sqzt_memory *memory);

/* Let jansson take its memory from here too, NULL: from the C library again. Nothing of jansson's
 * may be held when this changes. */
void sqzt_count_json(sqzt_memory *memory);

#endif
