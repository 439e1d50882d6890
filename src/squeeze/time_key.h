/* SPDX-License-Identifier: Apache-2.0 */
/* What times depend on beside shapes: a table of them is another one's there (time_table.h), and so
 * is a run whose plan comes from it. */
#ifndef SQZI_TIME_KEY_H
#define SQZI_TIME_KEY_H

#include <squeezebert/context.h>

#include "base/sha256.h"

/* Version, CPU, kernels, threads, and how is measured. In time_table_cache.c. */
void sqzi_time_hash_machine(sqzi_sha256 *hash, const sqz_context *context);

#endif
