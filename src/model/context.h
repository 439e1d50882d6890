/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a context. */
#ifndef SQZI_CONTEXT_H
#define SQZI_CONTEXT_H

#include "base/memory.h"
#include "base/threads.h"
#include "kernel/kernel.h"

enum { SQZI_MAX_FACTS = 16, SQZI_FACT_BYTES = 160, SQZI_FEATURES_BYTES = 120 };

struct sqz_context {
    sqz_allocator allocator;
    sqzk_table kernels;
    sqzi_pool *pool;
    sqz_context_info info;
    char features_found[SQZI_FEATURES_BYTES], features_used[SQZI_FEATURES_BYTES];
    uint32_t n_facts;
    char facts[SQZI_MAX_FACTS][SQZI_FACT_BYTES];
};

#endif
