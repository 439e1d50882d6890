/* SPDX-License-Identifier: Apache-2.0 */
/* Which options of batches go together. */
#ifndef SQZI_BATCHES_CHECK_H
#define SQZI_BATCHES_CHECK_H

#include <squeezebert/batches.h>

/* SQZ_EINVAL: n examples of the data set cannot be made batches so; the text says why. */
SQZ_NODISCARD sqz_status sqzi_batches_check(const sqz_dataset *dataset,
                                            const sqz_batches_options *options, size_t n,
                                            sqz_error *error);

#endif
