/* SPDX-License-Identifier: Apache-2.0 */
/* How rows are dealt out by a compression: for who makes first what is compressed then. */
#ifndef SQZI_COMPRESS_ROWS_H
#define SQZI_COMPRESS_ROWS_H

#include <squeezebert/dataset.h>

#include "base/memory.h"

/* Of rows, where nothing else is said: what is reported on, and of the rest what is chosen on. */
#define SQZI_COMPRESS_HOLDOUT 0.1

/* SQZ_EFORMAT: rows to report on are too few, or those that would be chosen on of the ones to
 * learn. */
SQZ_NODISCARD sqz_status sqzi_compress_check_rows(const sqz_allocator *allocator,
                                                  sqz_dataset *learn, const sqz_dataset *report,
                                                  double holdout, uint64_t seed, sqz_error *error);

#endif
