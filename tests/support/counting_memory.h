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
} sqzt_memory;

/* Threads may use it one at a time only. */
sqz_allocator sqzt_allocator(sqzt_memory *memory);

#endif
