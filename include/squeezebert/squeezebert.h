/* SPDX-License-Identifier: Apache-2.0 */
/* Everything of the runtime library in one include. Headers of their own: import.h, export.h,
 * vectors.h, data.h, eval.h, dataset.h, measure.h, glue.h, squeeze.h, student.h, distil.h, train.h,
 * batches.h, build.h, peak.h (libsqueezebert-full). */
#ifndef SQUEEZEBERT_SQUEEZEBERT_H
#define SQUEEZEBERT_SQUEEZEBERT_H

#include <squeezebert/context.h>
#include <squeezebert/model.h>
#include <squeezebert/output.h>
#include <squeezebert/session.h>
#include <squeezebert/status.h>
#include <squeezebert/task.h>
#include <squeezebert/tokenizer.h>
#include <squeezebert/version.h>

#endif
