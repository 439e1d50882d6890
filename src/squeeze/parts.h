/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of some work on the context's threads, each with memory of its own: blocks of a model, say,
 * which levers change one by one. */
#ifndef SQZI_PARTS_H
#define SQZI_PARTS_H

#include <squeezebert/context.h>

/* One part; called on any thread of the context, which may allocate. */
typedef sqz_status sqzi_part_job(void *argument, uint32_t part, sqz_error *error);

/* Parts 0 .. n - 1, as many at once as there are threads. The status and error of the first part,
 * by number, that failed; the others are done all the same. SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_run_parts(const sqz_context *context, uint32_t n, sqzi_part_job *job,
                                        void *argument, sqz_error *error);

#endif
